//! Whatever a submission says: an opcode that comes back, or refused.

use super::*;

fn comes_back(request: &OpRequest) {
    let text = serde_json::to_string(request).expect("encodes");
    assert_eq!(&serde_json::from_str::<OpRequest>(&text).expect("is read again"), request);
    let bytes = gantry_wire::encode(request).expect("encodes");
    assert_eq!(&gantry_wire::decode::<OpRequest>(&bytes).expect("is read again"), request);
    // What is asked of each before anything is done with it.
    assert!(request.op.op_id().ends_with(request.op.summary().split('(').next().unwrap_or("?")));
    assert!(request.op.level() >= LEVEL_FIRST);
    let _named = request.op.clone().named();
    assert!(request.input_fields()["OP_ID"].is_string());
}

#[test]
fn any_json_is_an_opcode_that_comes_back_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(request) = serde_json::from_slice::<OpRequest>(bytes) {
            comes_back(&request);
        }
    });
}

#[test]
fn any_message_is_an_opcode_that_comes_back_or_refused() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(request) = gantry_wire::decode::<OpRequest>(bytes) {
            comes_back(&request);
        }
    });
}
