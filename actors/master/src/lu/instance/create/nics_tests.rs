//! Interfaces and display ports of new instances.

use gantry_model::names::InstanceName;
use gantry_model::objects::{NicMode, NicOverrides};
use gantry_model::params::{FakeParams, KvmParams};

use super::*;
use crate::lu;
use crate::lu::rig::{Rig, web1};
use crate::lu::samples::create;

fn with(nics: Vec<NicRequest>) -> InstanceCreate {
    InstanceCreate { nics, start: false, ..create() }
}

fn second(nics: Vec<NicRequest>) -> InstanceCreate {
    InstanceCreate { instance_name: InstanceName::new("web2").expect("valid"), ..with(nics) }
}

fn addressed() -> NicRequest {
    NicRequest { ip: "192.0.2.7".parse().ok(), ..NicRequest::default() }
}

// covers: C221
#[test]
fn addresses_are_made_up_with_the_clusters_prefix() {
    let mut rig = Rig::new();
    rig.run(with(vec![NicRequest::default(); 3]));
    let macs: BTreeSet<&str> = rig.instance().nics.iter().map(|nic| nic.mac.as_str()).collect();
    assert_eq!(macs.len(), 3);
    assert!(macs.iter().all(|mac| mac.starts_with("aa:00:00:") && parse_mac(mac).is_ok()));
}

// covers: C221
#[test]
fn an_address_that_somebody_has_is_refused() {
    let mut rig = Rig::new();
    let mac = |text: &str| NicRequest { mac: Some(text.into()), ..NicRequest::default() };
    rig.run(with(vec![mac("AA:00:00:00:00:07")]));
    assert_eq!(rig.instance().nics[0].mac, "aa:00:00:00:00:07");
    let taken = "MAC address aa:00:00:00:00:07 already in use in cluster";
    assert_eq!(
        rig.refusal(second(vec![mac("aa:00:00:00:00:07")])),
        (FaultCode::ResourceNotUnique, taken.into())
    );
    let twice = Rig::new().refusal(with(vec![mac("aa:00:00:00:00:08"), mac("aa:00:00:00:00:08")]));
    assert_eq!(twice.0, FaultCode::ResourceNotUnique);
    let fault = lu::arguments(&with(vec![mac("ab:00:00:00:00:08")]).into()).expect_err("a group");
    assert!(fault.message.starts_with("interface 0: mac"), "{fault:?}");
}

// covers: C60 C221
#[test]
fn an_address_on_the_same_link_is_refused_unless_it_is_not_to_be_checked() {
    let mut rig = Rig::new();
    rig.run(with(vec![addressed()]));
    let (code, text) = rig.refusal(second(vec![addressed()]));
    assert_eq!(code, FaultCode::ResourceNotUnique);
    assert!(text.contains("instance web1 has address 192.0.2.7"), "{text}");
    let nicparams = NicOverrides { link: Some("br7".into()), ..NicOverrides::default() };
    let elsewhere = NicRequest { nicparams, ..addressed() };
    assert!(rig.check(&second(vec![elsewhere]).into()).is_ok());
    let unchecked = InstanceCreate { no_conflicts_check: true, ..second(vec![addressed()]) };
    assert!(rig.check(&unchecked.into()).is_ok());
}

// covers: P17
#[test]
fn what_connects_it_must_fit_together() {
    let routed = NicOverrides { mode: Some(NicMode::Routed), ..NicOverrides::default() };
    let request = NicRequest { nicparams: routed, ..NicRequest::default() };
    let (code, text) = Rig::new().refusal(with(vec![request]));
    assert_eq!(code, FaultCode::WrongInput);
    assert_eq!(text, "interface 0: Routed nic mode requires an ip address");
    let nine = lu::arguments(&with(vec![NicRequest::default(); 9]).into()).expect_err("too many");
    assert_eq!(nine.message, "9 interfaces, at most 8");
}

// covers: H168 D53
#[test]
fn a_guest_of_kvm_has_a_port_that_nobody_else_has() {
    let facts = Facts::default();
    let mut state = ClusterState { level: LEVEL_NETWORK, ..ClusterState::default() };
    let kvm = HvParams::from(KvmParams::default());
    let port = network_port(&state, &kvm, &facts).expect("free").expect("one");
    assert!((PORT_FIRST..=PORT_LAST).contains(&port));
    assert_eq!(network_port(&state, &FakeParams::default().into(), &facts), Ok(None));
    state.network_ports.insert(port, crate::lu::rig::instance_id());
    let next = network_port(&state, &kvm, &facts).expect("free").expect("one");
    assert_ne!(next, port);
    for port in PORT_FIRST..=PORT_LAST {
        state.network_ports.insert(port, crate::lu::rig::instance_id());
    }
    assert_eq!(network_port(&state, &kvm, &facts), Ok(None), "it has no display");
    let vnc = KvmParams { vnc_bind_address: "0.0.0.0".into(), ..KvmParams::default() };
    let fault = network_port(&state, &vnc.into(), &facts).expect_err("it needs one");
    assert_eq!(fault.code, FaultCode::InsufficientResources);
}

#[test]
fn a_removed_instance_gives_its_addresses_back() {
    let mut rig = Rig::new();
    let mac = NicRequest { mac: Some("aa:00:00:00:00:07".into()), ..NicRequest::default() };
    rig.run(with(vec![mac.clone()]));
    assert_eq!(rig.instance().name, web1());
    rig.run(crate::lu::samples::remove());
    assert!(rig.check(&second(vec![mac]).into()).is_ok());
}
