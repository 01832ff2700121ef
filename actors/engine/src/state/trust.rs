//! Applying changes of secrets and authorities.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_model::errors::{Fault, FaultCode};
use gantry_model::ids::{KeyGeneration, NodeUuid};
use gantry_model::trust::{
    AuthorityRecord, ClusterTrust, RetiringAuthority, SealedSecret, SecretName, TrustChange,
};

use super::ClusterState;
use super::config::refuse;

/// Most secrets in the log. Two authorities need two, each unfinished opcode with secret
/// parameters one; the rest is for keys of the cluster that come later. Lower would refuse those,
/// higher lets a broken leader fill memory, and each is sealed anew when the cluster key changes.
pub const SECRETS_MAX: usize = 1_000;

impl ClusterState {
    pub(super) fn change_trust(&mut self, change: &TrustChange) -> Result<(), Fault> {
        match change {
            TrustChange::SecretSet { name, secret } => self.set_secret(name, secret),
            TrustChange::SecretRemove { name } => {
                self.secrets.remove(name);
                Ok(())
            }
            TrustChange::KeyRotate { expected, secrets } => self.rotate_key(*expected, secrets),
            TrustChange::AuthorityFound(authority) => self.find_authority(authority),
            TrustChange::AuthorityAdd { authority, secret } => {
                self.add_authority(authority, secret)
            }
            TrustChange::AuthorityDrop { fingerprint } => self.drop_authority(fingerprint),
            TrustChange::AuthoritySwitch { fingerprint } => self.switch_authority(fingerprint),
            TrustChange::AuthorityRetire { fingerprint, pending } => {
                self.retire_authority(fingerprint, pending)
            }
            TrustChange::NodeRenewed { node } => {
                self.not_pending(*node);
                Ok(())
            }
        }
    }

    /// Those of a submission, all or none.
    pub(super) fn add_secrets(
        &mut self,
        secrets: &BTreeMap<SecretName, SealedSecret>,
    ) -> Result<(), Fault> {
        let before = self.secrets.clone();
        let added = secrets.iter().try_for_each(|(name, secret)| self.set_secret(name, secret));
        if added.is_err() {
            self.secrets = before;
        }
        added
    }

    fn set_secret(&mut self, name: &SecretName, secret: &SealedSecret) -> Result<(), Fault> {
        self.check_generation(secret.generation)?;
        if !self.secrets.contains_key(name) && self.secrets.len() >= SECRETS_MAX {
            let text = format!("there are {SECRETS_MAX} secrets already");
            return refuse(FaultCode::TempInsufficientResources, text);
        }
        self.secrets.insert(name.clone(), Arc::new(secret.clone()));
        Ok(())
    }

    fn check_generation(&self, generation: KeyGeneration) -> Result<(), Fault> {
        let present = self.trust.key_generation;
        if generation == present && present != KeyGeneration::default() {
            return Ok(());
        }
        let text = format!("the cluster key has generation {present}, not {generation}");
        Err(Fault::new(FaultCode::WrongState, text).retry_later())
    }

    /// All or none: a secret left under the old key would be lost with it.
    fn rotate_key(
        &mut self,
        expected: KeyGeneration,
        secrets: &BTreeMap<SecretName, SealedSecret>,
    ) -> Result<(), Fault> {
        let present = self.trust.key_generation;
        if expected != present {
            let text = format!("the cluster key has generation {present}, not {expected}");
            return refuse(FaultCode::WrongState, text);
        }
        let next = present.next();
        if let Some(missing) = self.secrets.keys().find(|name| !secrets.contains_key(*name)) {
            let text = format!("secret {missing} is not sealed with the new key");
            return refuse(FaultCode::WrongState, text);
        }
        if let Some((name, _)) = secrets.iter().find(|(_, secret)| secret.generation != next) {
            let text = format!("secret {name} is not of generation {next}");
            return refuse(FaultCode::WrongState, text);
        }
        let sealed = secrets.iter().map(|(name, secret)| (name.clone(), Arc::new(secret.clone())));
        self.secrets = sealed.collect();
        self.trust_mut().key_generation = next;
        Ok(())
    }

    fn find_authority(&mut self, authority: &AuthorityRecord) -> Result<(), Fault> {
        if self.trust.signing.is_some() {
            return refuse(FaultCode::AlreadyExists, "the cluster has an authority already");
        }
        self.check_key(&authority.fingerprint)?;
        self.trust_mut().signing = Some(authority.clone());
        self.publish_bundle();
        Ok(())
    }

    fn check_key(&self, fingerprint: &str) -> Result<(), Fault> {
        if self.secrets.contains_key(&SecretName::authority(fingerprint)) {
            return Ok(());
        }
        refuse(FaultCode::WrongState, format!("the key of authority {fingerprint} is not sealed"))
    }

    fn add_authority(
        &mut self,
        authority: &AuthorityRecord,
        secret: &SealedSecret,
    ) -> Result<(), Fault> {
        if self.trust.signing.is_none() {
            return refuse(FaultCode::WrongState, "the cluster has no authority yet");
        }
        if self.trust.other.is_some() || self.trust.retiring.is_some() {
            let text = "the authority is being replaced already";
            return refuse(FaultCode::WrongState, text);
        }
        self.set_secret(&SecretName::authority(&authority.fingerprint), secret)?;
        self.trust_mut().other = Some(authority.clone());
        self.publish_bundle();
        Ok(())
    }

    /// Also how an addition is taken back, so that it must not fail when there was none.
    fn drop_authority(&mut self, fingerprint: &str) -> Result<(), Fault> {
        if self.trust.signing.as_ref().is_some_and(|signing| signing.fingerprint == fingerprint) {
            return refuse(FaultCode::WrongState, "the authority that signs cannot be dropped");
        }
        if self.trust.other.as_ref().is_some_and(|other| other.fingerprint == fingerprint) {
            self.trust_mut().other = None;
            self.secrets.remove(&SecretName::authority(fingerprint));
            self.publish_bundle();
        }
        Ok(())
    }

    fn switch_authority(&mut self, fingerprint: &str) -> Result<(), Fault> {
        if self.trust.authority(fingerprint).is_none() {
            let text = format!("authority {fingerprint} is not known");
            return refuse(FaultCode::UnknownEntity, text);
        }
        self.check_key(fingerprint)?;
        let trust = self.trust_mut();
        if trust.other.as_ref().is_some_and(|other| other.fingerprint == fingerprint) {
            std::mem::swap(&mut trust.signing, &mut trust.other);
        }
        self.publish_bundle();
        Ok(())
    }

    fn retire_authority(
        &mut self,
        fingerprint: &str,
        pending: &BTreeSet<NodeUuid>,
    ) -> Result<(), Fault> {
        let old = self.trust.other.clone().filter(|other| other.fingerprint == fingerprint);
        let Some(authority) = old else {
            let text = format!("authority {fingerprint} is not one that can be retired");
            return refuse(FaultCode::WrongState, text);
        };
        let members = pending.iter().filter(|node| self.nodes.contains_key(*node));
        let pending: BTreeSet<NodeUuid> = members.copied().collect();
        let trust = self.trust_mut();
        trust.other = None;
        trust.retiring = Some(RetiringAuthority { authority, pending });
        self.secrets.remove(&SecretName::authority(fingerprint));
        self.forget_tokens(|token| token.redeemed_by.is_none());
        self.forget_retired();
        self.publish_bundle();
        Ok(())
    }

    /// A node needs the retiring authority no more: it has renewed, or was removed.
    pub(super) fn not_pending(&mut self, node: NodeUuid) {
        let is_pending =
            self.trust.retiring.as_ref().is_some_and(|retiring| retiring.pending.contains(&node));
        if is_pending {
            if let Some(retiring) = &mut self.trust_mut().retiring {
                retiring.pending.remove(&node);
            }
            self.forget_retired();
        }
    }

    fn forget_retired(&mut self) {
        if self.trust.retiring.as_ref().is_some_and(|retiring| retiring.pending.is_empty()) {
            self.trust_mut().retiring = None;
        }
    }

    /// What nodes and programs see as the cluster's authority.
    fn publish_bundle(&mut self) {
        let bundle = self.trust.bundle();
        if let Some(cluster) = &mut self.cluster {
            Arc::make_mut(cluster).ca_certificate = bundle;
        }
    }

    fn trust_mut(&mut self) -> &mut ClusterTrust {
        Arc::make_mut(&mut self.trust)
    }
}
