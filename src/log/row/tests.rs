use super::*;
use std::collections::HashSet;

#[test]
fn flow_ids_differ_across_threads() {
    let threads: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(|| (0..3000).map(|_| FlowId::next()).collect::<Vec<_>>()))
        .collect();
    let all: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
}

#[test]
fn a_flow_id_has_16_digits_and_the_short_form_is_their_end() {
    let id = FlowId(0x0123_4567_89ab_cdef);
    assert_eq!(id.to_string(), "0123456789abcdef");
    assert_eq!(id.short().to_string(), "89abcdef");
}
