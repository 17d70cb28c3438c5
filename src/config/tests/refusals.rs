use super::*;

#[test]
fn words_of_refusals_are_compiled_in_and_each_list_can_be_replaced() {
    let upstream = "[upstreams.up]\nprovider = 'tei'\nbase_url = 'http://h'\n";
    let loaded = load_text(&format!("[refusals]\npassages = ['More PAIRS than']\n{upstream}"), &[]).unwrap();
    let words = &loaded.settings.upstreams[0].refusal_words;
    assert_eq!(words.passages, ["more pairs than"]);
    assert_eq!(words.text, refusal_words().text);
    let shown = loaded.effective["refusals"].as_table().unwrap();
    assert_eq!(shown.keys().collect::<Vec<_>>(), ["passages"], "check shows what was replaced");
    assert_eq!(faults("[refusals]\npasages = []\n").len(), 1);
}
