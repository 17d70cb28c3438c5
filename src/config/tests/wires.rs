//! `[wires.NAME]` with faults: all at once, each with its key, its pointer and the reason.

use super::{faults, load_text};

/// Keys that every wire needs, besides `[request]` and `[reply]`.
const CALL: &str = "path = '/r'\nmax_passages = 5\n";
const REQUEST: &str = "query = '/q'\npassages = '/d[]/text'\n";
const REPLY: &str = "results = '/r[]'\nindex = '/i'\nscore = '/s'\n";

/// The faults of a wire of these parts, without the beginning of their keys.
fn faults_of(call: &str, request: &str, reply: &str, rest: &str) -> Vec<String> {
    let text = format!("[wires.mine]\n{call}[wires.mine.request]\n{request}[wires.mine.reply]\n{reply}{rest}");
    let found = faults(&text);
    found.iter().map(|fault| fault.strip_prefix("wires.mine.").unwrap_or(fault).to_owned()).collect()
}

#[track_caller]
fn assert_faults(found: &[String], expected: &[&str]) {
    for start in expected {
        assert!(found.iter().any(|fault| fault.starts_with(start)), "{start}\n{found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_wire_with_many_faults_gets_all_of_them_at_once() {
    let found = faults_of(
        "path = 'r'\nmax_passages = 0\nkey_header = 'bad header'\nheaders = { 'a b' = 'x' }\ngroup = 'hoste'\n",
        "model = '/d'\npassages = '/d'\ncount = '/n[]'\nids = '/ids'\nalways_each = { a = 1 }\nid_prefx = 'x'\n",
        "results = '/r'\nindex = '/i'\nid = '/id'\nscore = '/s[]'\ntokens_header = 'a b'\nsearch_units = '/u[]'\n",
        "[wires.mine.other_models]\nscale = 'probabilty'\nscoring = 'pairwise'\n\
         [[wires.mine.errors]]\nis = 'broken'\n[wires.mine.models.m]\nscale = 'none'\n",
    );
    assert_faults(
        &found,
        &[
            "path: must start with a slash",
            "max_passages: must be a whole number from 1 to",
            "key_header: must be the name of a header",
            "headers: \"a b\" is not the name of a header",
            "group: must be one of hosted, self-hosted, search-engine, gateway; did you mean hosted?",
            "request.query: is missing",
            "request.passages: \"/d\" must hold one [], as in \"/documents[]/text\"",
            "request.count: \"/n[]\" must not hold []",
            "request.ids: \"/ids\" must hold one []",
            "request.id_prefx: unknown key; did you mean id_prefix?",
            "reply.results: \"/r\" must end with [], as in \"/results[]\"",
            "reply.id: means nothing beside index",
            "reply.score: \"/s[]\" must not hold []: it is a place within one result",
            "reply.search_units: \"/u[]\" must not hold []: it is one value",
            "reply.tokens_header: must be the name of a header",
            "other_models.scale: must be one of probability, cosine",
            "other_models.scoring: must be one of pointwise, listwise",
            "errors[0].is: must be one of rejected, rate_limited",
            "models.m.scale: \"none\" is the scale of a selector",
        ],
    );
}

#[test]
fn a_rule_without_a_condition_and_an_unreadable_score_are_one_fault_each() {
    assert_faults(
        &faults_of(CALL, REQUEST, REPLY, "[[wires.mine.errors]]\nis = 'quota_exhausted'\n"),
        &["errors[0].is: would hold for every failure"],
    );
    let reply = "results = '/r[]'\nindex = '/i'\nscore = '/s[0]'\n";
    let models = "[wires.mine.models.m]\nscoring = 'pointwise'\n";
    assert_faults(&faults_of(CALL, REQUEST, reply, models), &["reply.score: must be a JSON pointer"]);
}

#[test]
fn places_that_exclude_each_other_are_named_with_both_keys() {
    let request = "query = '/text'\nmodel = '/text'\npassages = '/text[]'\nids = '/ids[]/id'\ncount = '/ids/n'\n\
                   instruction = '/p/i'\nalways = { p = 1, ids = { n = 2 } }\n";
    assert_faults(
        &faults_of(CALL, request, REPLY, ""),
        &[
            "request.query: \"/text\" is taken by model",
            "request.passages: \"/text[]\" cannot stand beside model at \"/text\"",
            "request.instruction: \"/p/i\" cannot stand beside always at \"/p\"",
            "request.count: \"/ids/n\" is taken by always",
            "request.ids: \"/ids[]/id\" cannot stand beside always at \"/ids/n\"",
        ],
    );
    let twice = "query = '/q'\npassages = '/d[]/text'\nids = '/d[]/text'\nalways_each = { text = 1, type = 2 }\n";
    assert_faults(
        &faults_of(CALL, twice, REPLY, ""),
        &["request.always_each: \"/d[]/text\" is taken by ids", "request.passages: \"/d[]/text\" is taken by ids"],
    );
}

#[test]
fn what_means_nothing_or_is_missing_is_told() {
    let idle = "query = '/q'\npassages = '/d[]'\nid_prefix = 'x'\ninstruction_json = 'i'\nmax_tokens_per_doc_limit = 9\n\
                always_each = { a = 1 }\n";
    assert_faults(
        &faults_of(CALL, idle, "results = ['/r[]', '/r[]/x[]']\nid = '/id'\nscore = '/s'\n", ""),
        &[
            "request.always_each: wants objects, as in passages = \"/documents[]/text\"",
            "request.id_prefix: means nothing without ids",
            "request.instruction_json: means nothing without instruction",
            "request.max_tokens_per_doc_limit: means nothing without max_tokens_per_doc",
            "reply.results: \"/r[]/x[]\" begins like another of the alternatives",
            "reply.id: means nothing without ids in [request]",
        ],
    );
    assert_faults(
        &faults_of("", "", "", ""),
        &[
            "path: is missing",
            "max_passages: is missing",
            "request.query: is missing",
            "request.passages: is missing",
            "reply.results: is missing",
            "reply.score: is missing; a reply without scores must name passages by index or id",
        ],
    );
}

#[test]
fn a_pointer_that_cannot_be_read_accuses_no_other_key() {
    let request = "query = 'q'\npassages = '/d[0]'\nids = 'ids'\nid_prefix = 'x'\ninstruction = 'i'\n\
                   instruction_json = 'x'\n";
    assert_faults(
        &faults_of(CALL, request, "results = 'r'\nid = '/id'\nindex = 'i'\nscore = 7\n", ""),
        &[
            "request.query: must be a JSON pointer",
            "request.passages: ",
            "request.ids: must be a JSON pointer",
            "request.instruction: must be a JSON pointer",
            "reply.results: must be a JSON pointer",
            "reply.index: must be a JSON pointer",
            "reply.score: must be a text",
        ],
    );
    let found = faults("[wires.mine]\npath = '/r'\nmax_passages = 5\nrequest = 7\nreply = 8\n");
    assert_eq!(found, ["wires.mine.request: must be a table", "wires.mine.reply: must be a table"]);
}

#[test]
fn faults_of_the_call_are_told() {
    for (call, expected) in [
        ("path = '/{model'\nmax_passages = 5\n", "path: holds braces that are not a pair"),
        ("path = '/model}'\nmax_passages = 5\n", "path: holds a } without a {"),
        ("path = '/{}'\nmax_passages = 5\n", "path: holds braces that are not a pair"),
        (
            "path = '/r?v=1'\nmax_passages = 5\n",
            "path: must start with a slash, such as \"/v1/rerank\", and hold no query",
        ),
        (
            "path = '/r'\nmax_passages = 5\nheaders = { Authorization = 'x' }\n",
            "headers: must not hold Authorization, which rerankd sets itself; keys belong in api_key",
        ),
        (
            "path = '/r'\nmax_passages = 5\nheaders = { content-length = '2' }\n",
            "headers: must not hold content-length, which rerankd sets itself",
        ),
        (
            "path = '/r'\nmax_passages = 5\nkey_header = 'Host'\n",
            "key_header: must not be host, which rerankd sets itself",
        ),
        (
            "path = '/r'\nmax_passages = 5\nkey_header = 'x-mine'\nheaders = { x-mine = '2' }\n",
            "headers: x-mine is the header of the key, which upstreams set by api_key",
        ),
    ] {
        assert_faults(&faults_of(call, REQUEST, REPLY, ""), &[expected]);
    }
}

#[test]
fn facts_that_the_shape_rules_out_are_told() {
    let others = |facts: &str| format!("[wires.mine.other_models]\n{facts}\n");
    let no_scores = "results = '/r[]'\nid = '/id'\n";
    let with_ids = "query = '/q'\npassages = '/d[]/text'\nids = '/d[]/id'\n";
    for (request, reply, rest, expected) in [
        (REQUEST, REPLY, others("instruction = 'field'"), "other_models.instruction: \"field\" has no field"),
        (
            REQUEST,
            REPLY,
            "[wires.mine.models.m]\ninstruction = 'field'\n".to_owned(),
            "models.m.instruction: \"field\" has no field: [request] says no place for instruction",
        ),
        (with_ids, no_scores, String::new(), "other_models.scoring: must be \"selector\": [reply] says no place"),
        (with_ids, no_scores, others("scoring = 'listwise'"), "other_models.scoring: must be \"selector\""),
        (
            with_ids,
            no_scores,
            format!(
                "{}[wires.mine.models.m]\nscoring = 'pointwise'\nscale = 'logit'\n",
                others("scoring = 'selector'")
            ),
            "models.m.scoring: must be \"selector\"",
        ),
    ] {
        assert_faults(&faults_of(CALL, request, reply, &rest), &[expected]);
    }
    let override_of_a_row = "[providers.jina.models.m]\ninstruction = 'field'\n";
    assert_eq!(faults(override_of_a_row).len(), 1);
    let right = format!(
        "[wires.mine]\n{CALL}[wires.mine.request]\n{with_ids}instruction = '/how'\n[wires.mine.reply]\n{no_scores}\
         [wires.mine.other_models]\nscoring = 'selector'\ninstruction = 'field'\n[wires.mine.models.m]\n"
    );
    assert!(load_text(&right, &[]).unwrap().warnings.is_empty());
    let made_up = load_text("[providers.jina.models.m]\nscoring = 'selector'\n", &[]).unwrap();
    let told = "providers.jina.models.m.scoring: is \"selector\", so the scores that [reply] reads give the order";
    assert!(super::without_places(&made_up.warnings)[0].starts_with(told), "{:?}", made_up.warnings);
}
