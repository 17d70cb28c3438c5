//! Small collections of every kind, and what is wrong with them.

mod any_bytes;
mod autorag_folder;
mod small;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

const CORPUS: &str = "\u{FEFF}{\"_id\": \"d1\", \"title\": \"Wings\", \"text\": \"heated wings\"}\r\n\
                      {\"_id\": 2, \"title\": \"\", \"text\": \"cold soup\"}\n\n\
                      {\"_id\": \"d3\", \"text\": \"wings of a bird\"}\n";
const QUERIES: &str = "{\"_id\": \"q1\", \"text\": \"wings\", \"metadata\": {\"language\": \"en\", \"spans\": [1]}}\n\
                       {\"_id\": 7, \"text\": \"soup\"}\n{\"_id\": \"q3\", \"text\": \"unjudged\"}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td3\t2\nq1\td1\t0\n7\t2\t1\n7\tgone\t1\nq9\t2\t1\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// The small BEIR folder with further files, or others instead of its own.
fn beir(files: &[(&str, &str)]) -> TempDir {
    let own = [("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("qrels/test.tsv", QRELS)];
    folder(&[&own, files].concat())
}

fn of(data: impl AsRef<Path>) -> Source {
    Source { data: data.as_ref().to_owned(), ..Source::default() }
}

fn with(data: impl AsRef<Path>, candidates: &str) -> Source {
    Source { candidates: Some(candidates.parse().unwrap()), ..of(data) }
}

/// Ids of the candidates of each query.
fn candidates(collection: &Collection) -> Vec<String> {
    let ids =
        |query: &JudgedQuery| query.candidates.iter().map(|&place| &*collection.passages[place].id).collect::<Vec<_>>();
    collection.queries.iter().map(|query| format!("{}: {}", query.id, ids(query).join(" "))).collect()
}

/// What is wrong, without the folder.
fn wrong(source: &Source) -> String {
    let folder = if source.data.is_dir() { &source.data } else { source.data.parent().unwrap() };
    load(source).unwrap_err().to_string().replace(&format!("{}/", folder.display()), "")
}

#[test]
fn a_beir_folder_becomes_a_collection() {
    let folder = beir(&[]);
    let collection = load(&of(folder.path())).unwrap();
    assert_eq!(collection.name, folder.path().file_name().unwrap().to_str().unwrap());
    let texts: Vec<&str> = collection.passages.iter().map(|passage| &*passage.text).collect();
    assert_eq!(texts, ["Wings heated wings", "cold soup", "wings of a bird"]);
    assert_eq!(candidates(&collection), ["q1: d1 d3 2", "7: 2 d3 d1"]);
    assert_eq!(collection.first_stage, "the whole corpus, by BM25 (k1 0.9, b 0.4), then others in a fixed order");
    let first = &collection.queries[0];
    assert_eq!(first.labels, [("language".to_owned(), "en".to_owned())].into());
    assert_eq!(first.groups, [["d3"]]);
    assert_eq!(
        collection.passages.iter().map(|passage| first.grade(passage)).collect::<Vec<_>>(),
        [Some(0), None, Some(2)]
    );
    assert_eq!(collection.queries[1].groups, [["2"], ["gone"]]);
    let left_out = LeftOut {
        unjudged_queries: 1,
        judgments_of_unknown_passages: UnknownIds { count: 1, first: Some("gone".to_owned()) },
        judgments_of_unknown_queries: UnknownIds { count: 1, first: Some("q9".to_owned()) },
        ..LeftOut::default()
    };
    assert_eq!(collection.left_out, left_out);
    assert_eq!(load(&of(folder.path().join("corpus.jsonl"))).unwrap(), collection);
}

#[test]
fn queries_in_the_order_of_their_grades_are_counted_unless_bm25_ordered_them() {
    let lines = [
        r#"{"query": "a", "passages": ["a", "b", "c"], "relevant": {"0": 2, "1": 1, "2": -1}}"#,
        r#"{"query": "b", "passages": ["a", "b"], "relevant": [1]}"#,
        r#"{"query": "c", "passages": ["a", "b"], "relevant": [0, 1]}"#,
    ];
    let set = folder(&[("set.jsonl", &lines.join("\n"))]);
    let mut source = of(set.path());
    assert_eq!(load(&source).unwrap().left_out.queries_sorted_by_grade, 1);
    source.candidates = Some(Candidates::Bm25(2));
    assert_eq!(load(&source).unwrap().left_out.queries_sorted_by_grade, 0);
}

#[test]
fn half_of_a_surrogate_pair_stops_no_evaluation() {
    let corpus =
        format!("{CORPUS}{{\"_id\": \"d4 \\ud83d\", \"t\\udeadt\": [\"\\ud83d\"], \"text\": \"cut \\uD83D\"}}\n");
    let queries = format!("{QUERIES}{{\"_id\": \"q4\", \"text\": \"cut \\ud83d\\ude00 \\ud83d\"}}\n");
    let qrels = format!("{QRELS}q4\td4 \u{FFFD}\t1\n");
    let cut = beir(&[("corpus.jsonl", &corpus), ("queries.jsonl", &queries), ("qrels/test.tsv", &qrels)]);
    let collection = load(&of(cut.path())).unwrap();
    assert_eq!(collection.passages[3].text, "cut \u{FFFD}");
    assert_eq!(collection.queries[2].text, "cut \u{1F600} \u{FFFD}");
    assert_eq!(collection.left_out.lines_with_lone_surrogates, 2);
    let line = r#"{"query": "cut \udead", "passages": ["a \ud83d", {"text": "b", "\ud83d": 1}], "relevant": [0]}"#;
    let lines = folder(&[("set.jsonl", line)]);
    let collection = load(&of(lines.path())).unwrap();
    assert_eq!(collection.passages[0].text, "a \u{FFFD}");
    assert_eq!(collection.left_out.lines_with_lone_surrogates, 1);
}

#[test]
fn byte_order_marks_before_any_file_are_skipped() {
    let marked = |text: &str| format!("\u{FEFF}{}", text.trim_start_matches('\u{FEFF}'));
    let files = [
        ("queries.jsonl", marked(QUERIES)),
        ("qrels/test.tsv", marked("q1\td3\t2\n")),
        ("candidates.run", marked("q1 Q0 d3 1 2 x\n")),
    ];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let folder = beir(&files);
    assert_eq!(candidates(&load(&of(folder.path())).unwrap()), ["q1: d3"]);
    let utf_16: Vec<u8> = "\u{FEFF}{}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.path().join("queries.jsonl"), utf_16).unwrap();
    assert_eq!(wrong(&of(folder.path())), "queries.jsonl, line 1: is UTF-16; save the file as UTF-8");
}

#[test]
fn first_stages_are_chosen() {
    let folder =
        beir(&[("candidates.tsv", "7\td1\t1\t0.5\n"), ("other/x.run", "q1 Q0 2 1 1e1 tag\nq1 Q0 d1 2 11 tag\n")]);
    let loaded =
        |source: &Source| load(source).map(|collection| (candidates(&collection), collection.first_stage)).unwrap();
    assert_eq!(
        loaded(&of(folder.path())),
        (vec!["q1: ".to_owned(), "7: d1".to_owned()], "the run candidates.tsv".to_owned())
    );
    assert_eq!(load(&of(folder.path())).unwrap().left_out.queries_without_candidates, 1);
    assert_eq!(loaded(&with(folder.path(), "other/x.run")).0, ["q1: d1 2", "7: "]);
    assert_eq!(loaded(&with(folder.path(), "bm25:1")).0, ["q1: d1", "7: 2"]);
    let (judged, name) = loaded(&with(folder.path(), "judged"));
    assert_eq!((judged, name.starts_with("all judged")), (vec!["q1: d1 d3".to_owned(), "7: 2".to_owned()], true));
    assert_eq!(
        wrong(&with(folder.path(), "nowhere.run")).split(',').next().unwrap(),
        "nowhere.run: there is no such run"
    );
    fs::write(folder.path().join("candidates.run"), "").unwrap();
    assert!(load(&of(folder.path())).unwrap_err().to_string().contains("holds candidates.tsv and candidates.run"));
}

#[test]
fn every_form_of_a_run_means_the_same() {
    let runs = [
        "q1 Q0 d3 2 1.5 x\nq1 Q0 2 1 1.5 x\nq1 Q0 d1 3 2 x\nelsewhere Q0 unknown 1 9 x\n",
        "qid\tdocid\trank\tscore\nq1\td3\t2\t1.5\nq1\t2\t1\t1.5\nq1\td1\t3\t2\nelsewhere\tunknown\t1\t9\n",
        "q1 2 1.5\nq1 d3 1.5\nq1 d1 2\nelsewhere unknown 9\n",
    ];
    for run in runs {
        let folder = beir(&[("a.run", run)]);
        let collection = load(&with(folder.path(), "a.run")).unwrap();
        assert_eq!(candidates(&collection), ["q1: d1 2 d3", "7: "]);
        assert_eq!(collection.askable().count(), 1);
        assert_eq!(collection.left_out.run_lines_of_unknown_queries.count, 1);
    }
}

#[test]
fn judgments_are_found_or_chosen() {
    let trec = "q1 0 d1 1\n7\t0\t2\t-1\n";
    let folder = folder(&[
        ("corpus.jsonl", CORPUS),
        ("queries.jsonl", QUERIES),
        ("qrels/dev.tsv", "q1\td1\t1.0\n"),
        ("trec.txt", trec),
    ]);
    assert_eq!(load(&of(folder.path())).unwrap().queries.len(), 1);
    let chosen = Source { qrels: Some("trec.txt".into()), ..of(folder.path()) };
    assert_eq!(load(&chosen).unwrap().queries[1].judgments, [("2".to_owned(), -1)].into());
    for named in ["dev", "dev.tsv", "qrels/dev.tsv"] {
        let chosen = load(&Source { qrels: Some(named.into()), ..of(folder.path()) }).unwrap();
        assert_eq!((chosen.queries.len(), chosen.judgments.as_deref()), (1, Some("qrels/dev.tsv")), "{named}");
    }
    let unknown = Source { qrels: Some("test".into()), ..of(folder.path()) };
    let reason = wrong(&unknown);
    assert!(reason.starts_with("test: there is no such file, nor one in ") && reason.ends_with("qrels"), "{reason}");
    fs::write(folder.path().join("qrels/train.tsv"), "").unwrap();
    let reason = wrong(&of(folder.path()));
    assert_eq!(
        reason,
        "qrels: holds several files of judgments; choose one with --qrels: qrels/dev.tsv, qrels/train.tsv"
    );
    fs::write(folder.path().join("qrels/test.tsv"), "q1\td1\t1\n").unwrap();
    let judgments = load(&of(folder.path())).unwrap().judgments;
    assert_eq!(judgments.as_deref(), Some("qrels/test.tsv (--qrels takes others: dev, train)"));
    fs::remove_dir_all(folder.path().join("qrels")).unwrap();
    assert!(wrong(&of(folder.path())).ends_with("there is no such folder; name the judgments with --qrels FILE"));
    let lines = folder.path().join("a.jsonl");
    fs::write(&lines, "").unwrap();
    let wrongly = Source { qrels: Some("trec.txt".into()), ..of(&lines) };
    assert_eq!(wrong(&wrongly), "a.jsonl: holds its own judgments; --qrels is for BEIR folders");
}

#[test]
fn every_way_to_say_what_is_relevant_is_understood() {
    let lines = [
        concat!(
            r#"{"query": "a", "passages": ["x", "y", {"text": "z", "id": "p"}], "#,
            r#""relevant": [1, "p"], "metadata": {"k": 1}}"#,
        ),
        r#"{"id": "b", "query": "a", "passages": [{"id": 1, "text": "u"}, {"id": 0, "text": "v"}], "relevant": [1]}"#,
        concat!(
            r#"{"id": "c", "query": "a", "passages": ["x", "y", {"text": "z", "id": "p"}], "#,
            r#""relevant": {"0": 3, "p": 0, "gone": 1}}"#,
        ),
        r#"{"id": "d", "query": "a", "passages": ["x", "y", "z"], "relevant": [["gone", 2], [0], []]}"#,
        r#"{"id": "e", "query": "a", "passages": ["x"], "relevant": []}"#,
        r#"{"id": "f", "query": "a", "passages": [{"title": "t", "text": "x"}], "relevant": {"0": 1}}"#,
    ];
    let folder = folder(&[("set.jsonl", &lines.join("\n")), ("README.md", "about")]);
    let collection = load(&of(folder.path())).unwrap();
    let judged = |query: &JudgedQuery| {
        let judgments: Vec<_> = query.judgments.iter().map(|(id, grade)| format!("{id}={grade}")).collect();
        format!("{}: {} {:?}", query.id, judgments.join(" "), query.groups)
    };
    let expected = [
        r#"1: 1:1=1 p=1 [["1:1"], ["p"]]"#,
        r#"b: 1=1 [["1"]]"#,
        r#"c: 3:0=3 gone=1 p=0 [["3:0"], ["gone"]]"#,
        r#"d: 4:0=1 4:2=1 gone=1 [["gone", "4:2"], ["4:0"]]"#,
        r#"f: 6:0=1 [["6:0"]]"#,
    ];
    assert_eq!(collection.queries.iter().map(judged).collect::<Vec<_>>(), expected);
    assert_eq!(candidates(&collection)[0], "1: 1:0 1:1 p");
    assert_eq!((collection.left_out.unjudged_queries, collection.left_out.judgments_of_unknown_passages.count), (1, 2));
    assert_eq!(&*collection.passages.last().unwrap().text, "t x");
    let file = load(&of(folder.path().join("set.jsonl"))).unwrap();
    assert_eq!((file.name.as_str(), &file.queries), ("set", &collection.queries));
}

#[test]
fn what_is_wrong_is_told_with_file_and_line_and_quotes_nothing() {
    let cases = [
        (
            "corpus.jsonl",
            "{\"_id\": \"a\", \"text\": \"s\"}\n{\"text\": \"secret\"}",
            "corpus.jsonl, line 2: \"_id\" is missing",
        ),
        ("corpus.jsonl", "{\"_id\": \"a\"}", "corpus.jsonl, line 1: \"text\" is missing"),
        ("corpus.jsonl", "{\"_id\": \"a\", \"text\": 5}", "corpus.jsonl, line 1: \"text\" must be a string"),
        (
            "corpus.jsonl",
            "{\"_id\": 1.5, \"text\": \"secret\"}",
            "corpus.jsonl, line 1: \"_id\" must be a string or a whole number",
        ),
        ("corpus.jsonl", "\n\nsecret", "corpus.jsonl, line 3: is not valid JSON (byte 1)"),
        (
            "corpus.jsonl",
            "{\"_id\": 1, \"text\": \"a\"}\n{\"_id\": \"1\", \"text\": \"secret\"}",
            "corpus.jsonl, line 2: an earlier passage has the same id and another text",
        ),
        ("queries.jsonl", "{\"_id\": \"a\", \"text\": \" \"}", "queries.jsonl, line 1: \"text\" is blank"),
        (
            "queries.jsonl",
            "{\"_id\": 1, \"text\": \"a\"}\n{\"_id\": 1, \"text\": \"a\"}",
            "queries.jsonl, line 2: an earlier query has the same id",
        ),
        (
            "qrels/test.tsv",
            "q1\td1\thigh",
            "qrels/test.tsv, line 1: the grade, in the last column, must be a whole number",
        ),
        (
            "qrels/test.tsv",
            "q1\td1\t1\nq1\td1\t2",
            "qrels/test.tsv, line 2: an earlier line gives this passage another grade",
        ),
        (
            "candidates.tsv",
            "q1\td1\t1\t1\nq1\tsecret\t2\t0",
            "candidates.tsv, line 2: names a passage that the collection does not hold",
        ),
        (
            "candidates.tsv",
            "q1 d1 1 5\nq1 2 2 9\nq1 d1 3 1",
            "candidates.tsv, line 3: an earlier line names the same passage for this query",
        ),
        ("candidates.tsv", "q1 d1 NaN", "candidates.tsv, line 1: the score must be a finite number"),
        ("candidates.tsv", "q1 d1 first 1", "candidates.tsv, line 1: the rank must be a whole number"),
    ];
    for (name, text, expected) in cases {
        assert_eq!(wrong(&of(beir(&[(name, text)]).path())), expected);
    }
    for (line, expected) in [
        (r#"{"query": "secret"}"#, "\"passages\" is missing"),
        (r#"{"query": "q", "passages": ["secret", 5], "relevant": []}"#, "passage 1: must be a string or an object"),
        (
            r#"{"query": "q", "passages": ["secret"], "relevant": [1]}"#,
            "\"relevant\" names a position that is not among the 1 passages, counted from 0",
        ),
        (
            r#"{"query": "q", "passages": ["secret"], "relevant": {"secret": 1}}"#,
            "\"relevant\" names a position that is not among the 1 passages, counted from 0",
        ),
        (
            r#"{"query": "q", "passages": ["secret"], "relevant": {"0": "secret"}}"#,
            "a grade in \"relevant\" must be a whole number",
        ),
        (
            r#"{"query": "q", "passages": [{"id": 1, "text": "a"}, {"id": "1", "text": "a"}], "relevant": []}"#,
            "passage 1: is listed twice",
        ),
    ] {
        assert_eq!(wrong(&of(folder(&[("x.jsonl", line)]).path())), format!("x.jsonl, line 1: {expected}"));
    }
}

#[test]
fn a_folder_that_holds_no_collection_is_told_what_one_holds() {
    let told = |files: &[(&str, &str)]| load(&of(folder(files).path())).unwrap_err().to_string();
    assert!(told(&[]).contains("holds no collection: corpus.jsonl, queries.jsonl and qrels/ (BEIR)"));
    assert!(told(&[("corpus.jsonl", CORPUS)]).contains("holds no collection"));
    assert!(told(&[("a.jsonl", ""), ("b.jsonl", "")]).contains("name one instead: "));
    assert!(told(&[("corpus.parquet", "")]).contains("no qa.parquet"));
    assert!(told(&[("corpus.parquet", ""), ("qa.parquet", "x")]).contains("corpus.parquet: cannot be read as Parquet"));
    assert!(wrong(&of("/nowhere/at/all")).ends_with("all: there is no such file"));
}

#[test]
fn prepared_candidates_are_those_of_bm25() {
    let folder = beir(&[]);
    let source = of(folder.path());
    let expected = load(&Source { candidates: Some(Candidates::Bm25(2)), ..source.clone() }).unwrap();
    let run = prepare(&source, 2).unwrap();
    assert_eq!(run.lines().next().unwrap().split('\t').take(3).collect::<Vec<_>>(), ["q1", "d1", "1"]);
    fs::write(folder.path().join("candidates.tsv"), run).unwrap();
    assert_eq!(load(&source).unwrap().queries, expected.queries);
    let folder = beir(&[("corpus.jsonl", "{\"_id\": \"a\\tb\", \"text\": \"wings\"}")]);
    assert!(prepare(&of(folder.path()), 2).unwrap_err().to_string().contains("an id holds a tab"));
}
