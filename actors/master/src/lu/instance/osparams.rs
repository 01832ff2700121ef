//! Parameters of an OS: which ones an instance may have (P14, X74).
//!
//! Which ones an OS takes, its definition will say. Until there are definitions they are kept for
//! them, like the name of the OS itself; without that name there is nothing that could have them.

use std::collections::BTreeMap;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::params::{PrivateParams, SecretParams};

/// The OS parameter that names an image for disk 0.
pub(super) const OS_IMAGE: &str = "os-image";

fn refuse(text: String) -> Result<(), Fault> {
    Err(Fault::new(FaultCode::WrongInput, text))
}

/// What an instance or an opcode has of them: the names.
pub(super) struct OsParams<'a> {
    public: &'a BTreeMap<String, String>,
    private: &'a PrivateParams,
    secret: &'a SecretParams,
}

impl<'a> OsParams<'a> {
    pub(super) fn new(
        public: &'a BTreeMap<String, String>,
        private: &'a PrivateParams,
        secret: &'a SecretParams,
    ) -> Self {
        Self { public, private, secret }
    }

    /// Whether the three kinds go together.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let hidden = || {
            let private = self.private.names().map(|name| (name, "private"));
            private.chain(self.secret.names().map(|name| (name, "secret")))
        };
        if let Some((name, kind)) = hidden().find(|(name, _)| *name == OS_IMAGE) {
            return refuse(format!(
                "OS parameter {name} cannot be {kind}: jobs say which image they copy"
            ));
        }
        let mut seen: BTreeMap<&str, &str> =
            self.public.keys().map(|name| (name.as_str(), "public")).collect();
        for (name, kind) in hidden() {
            if let Some(before) = seen.insert(name, kind) {
                return refuse(format!(
                    "Cannot assign multiple values to OS parameters: {name:?} is given as a \
                     {before} and as a {kind} one"
                ));
            }
        }
        Ok(())
    }

    /// Whether there is an OS that they belong to.
    pub(super) fn check_owner(&self, os: &str) -> Result<(), Fault> {
        let public = self.public.keys().map(String::as_str);
        let mut names = public.chain(self.private.names()).chain(self.secret.names());
        match names.find(|name| os.is_empty() && *name != OS_IMAGE) {
            Some(name) => refuse(format!(
                "unknown OS parameter {name:?}: known is {OS_IMAGE}, others belong to an OS, which \
                 -o names"
            )),
            None => Ok(()),
        }
    }
}
