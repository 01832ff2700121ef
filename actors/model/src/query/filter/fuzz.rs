//! Whatever is sent: a filter within its limits that comes back, or refused.

use super::*;

fn comes_back(filter: &Filter) {
    assert_eq!(filter.check_limits(), Ok(()));
    let text = serde_json::to_string(filter).expect("encodes");
    assert_eq!(&serde_json::from_str::<Filter>(&text).expect("is read again"), filter);
    let bytes = gantry_wire::encode(filter).expect("encodes");
    assert_eq!(&gantry_wire::decode::<Filter>(&bytes).expect("is read again"), filter);
}

#[test]
fn any_json_is_a_filter_that_comes_back_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(filter) = serde_json::from_slice::<Filter>(bytes) {
            comes_back(&filter);
        }
    });
}

#[test]
fn any_message_is_a_filter_that_comes_back_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(filter) = gantry_wire::decode::<Filter>(bytes) {
            comes_back(&filter);
        }
    });
}
