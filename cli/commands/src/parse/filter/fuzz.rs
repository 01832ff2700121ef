//! Whatever is typed: a filter within its limits, or an error within the text.

use super::*;

#[test]
fn any_text_is_a_filter_or_refused_at_a_place_in_it() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        match parse_filter(&text) {
            Ok(filter) => {
                assert_eq!(filter.check_limits(), Ok(()));
                let serial = serde_json::to_string(&filter).expect("encodes");
                let same = serde_json::from_str::<gantry_model::query::Filter>(&serial);
                assert_eq!(same.expect("what was read can be read again"), filter);
            }
            Err(error) => {
                assert!(error.at <= text.chars().count());
                let [line, mark] = error.marked();
                assert!(!line.contains('\n') && mark.ends_with('^'), "{line:?} {mark:?}");
                assert!(!error.sentence().contains('\n') && !error.shown().contains('\n'));
            }
        }
    });
}
