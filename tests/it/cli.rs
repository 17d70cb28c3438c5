//! The command line, as a person types it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::contract::repository;
use crate::selectors::{PICKER, picks};
use crate::support::FakeUpstream;
use crate::support::gateway::{targets, upstream};

fn rerankd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rerankd"));
    command.args(arguments).env_clear().current_dir(repository("")).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    rerankd(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn rerank_ranks_the_example_file_as_a_readable_table() {
    let output = run(&["rerank", "how do heat pumps work in cold weather", "examples/passages.txt", "--top-n", "3"]);
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    let rows: Vec<_> = text.lines().collect();
    assert!(rows[0].contains("RANK") && rows[0].contains("PASSAGE"), "{text}");
    assert!(rows[1].contains("heat pump"), "{text}");
    assert!(rows.iter().all(|row| row.chars().count() <= 100), "{text}");
    assert!(text.contains("by local/lexical"), "{text}");
}

/// The foot has the hint once, and not where a warning, JSON or a provider's key makes it idle.
#[cfg(feature = "cross-encoder")]
#[test]
fn rerank_hints_at_the_cross_encoder_once() {
    const HINT: &str = "`rerankd model fetch`";
    let asked = |query: &str, arguments: &[&str], key: &str| {
        let mut command = rerankd(&["rerank", query, "examples/passages.txt", "-m", "local"]);
        out(&command.args(arguments).env("COHERE_API_KEY", key).output().unwrap())
    };
    let told = asked("heat pumps", &[], "");
    assert!(told.lines().last().unwrap().contains(HINT), "{told}");
    let vain = asked("zzz", &[], "");
    assert!(vain.matches(HINT).count() == 1 && vain.contains("\n! no document shares a word with the query"), "{vain}");
    assert!(!asked("heat pumps", &["--json"], "").contains(HINT));
    assert!(!asked("heat pumps", &[], "some-key").contains(HINT));
}

#[test]
fn rerank_explain_prints_ranks_sources_and_words_within_the_width() {
    let query = "how do heat pumps work in cold weather";
    let output = run(&["rerank", query, "examples/passages.txt", "--model", "local/lexical", "--explain"]);
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    let rows: Vec<_> = text.lines().collect();
    for heading in ["RANK", "WAS", "SOURCE", "SCORED", "WORDS", "PASSAGE"] {
        assert!(rows[0].contains(heading), "{text}");
    }
    let words = rows[0].find("WORDS").unwrap();
    assert!(rows[1].contains(" scored ") && rows[1][words..].starts_with("heat pumps"), "{text}");
    assert!(rows.iter().all(|row| row.chars().count() <= 100), "{text}");
    assert!(text.contains("tried local/lexical: ok"), "{text}");
    let output = run(&["rerank", query, "examples/passages.txt", "--model", "local/lexical", "--explain", "--json"]);
    let answer: Value = serde_json::from_str(&out(&output)).unwrap();
    let explain = &answer["results"][0]["explain"];
    assert_eq!(explain["matched_words"][0], "heat");
    assert_eq!(explain["rank_before"].as_u64().unwrap(), answer["results"][0]["index"].as_u64().unwrap() + 1);
}

#[test]
fn rerank_reads_standard_input_and_json_lines_and_prints_json() {
    let mut child = rerankd(&["rerank", "capital of Korea", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = "{\"text\": \"Busan is a port\"}\n{\"text\": \"Seoul is the capital of Korea\"}\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let answer: Value = serde_json::from_str(&out(&child.wait_with_output().unwrap())).unwrap();
    assert_eq!(answer["results"][0]["index"], 1);
    assert_eq!(answer["results"][0]["document"]["text"], "Seoul is the capital of Korea");
}

#[test]
fn rerank_prints_each_passage_on_one_line_without_control_characters() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"text\": \"a red\\nheat pump\\u001b[2J\\r\"}\n").unwrap();
    let table = out(&run(&["rerank", "heat pump", file.path().to_str().unwrap()]));
    assert!(table.contains("a red heat pump␛[2J"), "{table}");
    assert!(!table.contains('\u{1b}') && !table.contains('\r'), "{table:?}");
}

#[test]
fn rerank_reads_bom_crlf_and_lone_surrogates_and_rejects_utf_16() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let lines = "\u{FEFF}{\"text\": \"Busan \\ud83d\", \"id\": 7}\r\n{\"title\": \"Seoul\", \"image\": \"data:image/png;base64,AAAA\"}\r\n";
    std::fs::write(file.path(), lines).unwrap();
    let output = run(&["rerank", "Seoul", path, "--json"]);
    assert!(output.status.success(), "{}", err(&output));
    let answer: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(answer["results"][0]["document"]["text"], "title: Seoul");
    assert_eq!(answer["results"][1]["id"], 7);
    assert_eq!(answer["results"][1]["document"]["text"], "Busan \u{FFFD}");
    assert_eq!(answer["meta"]["rerankd"]["warnings"].as_array().unwrap().len(), 2);
    let table = out(&run(&["rerank", "Seoul", path]));
    assert!(table.contains("! half of a surrogate pair") && table.contains("! pictures are not scored"), "{table}");

    std::fs::write(file.path(), "\u{FEFF}plain passage\n").unwrap();
    let answer: Value = serde_json::from_str(&out(&run(&["rerank", "q", path, "--json"]))).unwrap();
    assert_eq!(answer["results"][0]["document"]["text"], "plain passage");

    let utf_16: Vec<u8> = "\u{FEFF}plain passage\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(file.path(), utf_16).unwrap();
    let output = run(&["rerank", "q", path]);
    assert_eq!(err(&output), format!("rerankd: {path} is UTF-16; save it as UTF-8\n"));
    let output = run(&["check", "--config", path]);
    assert!(err(&output).contains("is UTF-16; save it as UTF-8"), "{}", err(&output));
}

#[test]
fn a_configuration_with_a_byte_order_mark_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "\u{FEFF}test-key\r\n").unwrap();
    let config = folder.path().join("rerankd.toml");
    let text = format!(
        "\u{FEFF}[upstreams.cohere]\nprovider = 'cohere'\napi_key = 'file:{}'\n[models.default]\ntargets = [{{ upstream = 'cohere', model = 'rerank-v3.5' }}]\n",
        key.display()
    );
    std::fs::write(&config, text).unwrap();
    let output = run(&["check", "--config", config.to_str().unwrap()]);
    assert!(output.status.success(), "{}", err(&output));
}

/// Two seconds for all of it: a server that sends byte after byte is as bad as one that sends nothing.
#[test]
fn health_check_of_a_server_that_drips_its_answer_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        // Ends with the error that the client is gone.
        while connection.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let output = run(&["health", "--address", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("does not answer"), "{}", err(&output));
    server.join().unwrap();
}

#[test]
fn failures_are_one_sentence_and_exit_1_and_wrong_usage_exits_2() {
    let missing = run(&["rerank", "q", "no-such-file"]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(err(&missing), "rerankd: no-such-file cannot be read: No such file or directory (os error 2)\n");
    let unknown = run(&["rerank", "q", "examples/passages.txt", "--model", "nope"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("known models: default, local"), "{}", err(&unknown));
    assert_eq!(run(&["rerank"]).status.code(), Some(2));
    assert_eq!(run(&["frobnicate"]).status.code(), Some(2));
}

/// They are too far from the right ones for a suggestion by letters.
#[test]
fn flags_of_other_programs_are_told_with_the_right_ones() {
    for (arguments, tip) in [
        (&["--port", "8080"][..], "tip: use --listen 127.0.0.1:8787"),
        (&["serve", "--host=0.0.0.0"], "tip: use --listen 127.0.0.1:8787"),
        (&["serve", "--log-level", "debug"], "tip: set RERANKD__TELEMETRY__LOG_FILTER=debug, or telemetry.log_filter"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        let said = err(&output);
        assert!(said.contains(tip), "{said}");
        assert_eq!(said.matches("tip:").count(), 1, "{said}");
    }
}

#[test]
fn check_names_all_of_five_faults() {
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = "[server]\nlisten = 'nowhere'\nmax_documnts = 3\n[cache]\nttl = '-1s'\n[upstreams.cohere]\nprovider = 'cohere'\n\
                api_key = 'sk-very-secret'\n[models.default]\ntargets = [{ upstream = 'jina' }]\n";
    std::fs::write(config.path(), text).unwrap();
    let output = run(&["check", "--config", config.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = err(&output);
    for fault in [
        "the configuration has 5 faults",
        "server.listen: must be an IP address and a port",
        "server.max_documnts: unknown key; did you mean max_documents?",
        "cache.ttl: must be a duration",
        "upstreams.cohere.api_key: must be a reference",
        "models.default.targets[0].upstream: no upstream is called jina; declare [upstreams.jina] with provider = \"jina\" and api_key, or",
    ] {
        assert!(said.contains(fault), "{fault}\n{said}");
    }
    assert!(!said.contains("sk-very-secret"), "{said}");
}

#[test]
fn check_prints_effective_settings_without_secrets() {
    let output = rerankd(&["check", "--config", "config/example.toml"])
        .env("COHERE_API_KEY", "sk-very-secret")
        .env("VOYAGE_API_KEY", "sk-very-secret")
        .env("RERANKD__SERVER__MAX_DOCUMENTS", "77")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("max_documents = \"77\"") && text.contains("api_key = \"env:COHERE_API_KEY\""), "{text}");
    assert!(!text.contains("sk-very-secret"));
    text.parse::<toml::Table>().unwrap();
}

#[test]
fn check_warns_of_an_open_address_before_a_key_that_costs_money() {
    let open = ("RERANKD__SERVER__LISTEN", "0.0.0.0:8787");
    let checked = rerankd(&["check"]).env("COHERE_API_KEY", "k").env(open.0, open.1).output().unwrap();
    let warning = "# Warning: server.listen: anyone who reaches 0.0.0.0:8787 can rerank at the cost of the configured \
                   keys; set server.api_keys, or listen on 127.0.0.1\n";
    assert_eq!(out(&checked).matches(warning).count(), 1, "{}", out(&checked));
}

#[test]
fn models_and_openapi_print_and_survive_a_closed_pipe() {
    let aliases = ("RERANKD__MODELS__DEFAULT__ALIASES", "[\"m\", \"n/*\"]");
    let models = rerankd(&["models"]).env("COHERE_API_KEY", "k").env(aliases.0, aliases.1).output().unwrap();
    let text = out(&models);
    assert!(text.contains("cohere/rerank-v4.0-fast  (also m, n/*)"), "{text}");
    assert!(text.lines().any(|line| line.contains("default") && line.contains("cohere/rerank-v4.0-fast")), "{text}");
    assert!(text.lines().any(|line| line.contains("cohere/rerank-v3.5") && line.contains("$0.002 a search")), "{text}");
    for name in ["cohere/rerank-english-v3.0", "cohere/rerank-multilingual-v3.0"] {
        assert!(
            text.lines().any(|line| line.trim_start().starts_with(&format!("{name} "))),
            "{name} is wrapped: {text}"
        );
    }
    assert_eq!(out(&run(&["openapi"])), rerankd::http::openapi::json());
    let mut closed = rerankd(&["openapi"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(closed.stdout.take());
    assert!(closed.wait().unwrap().success());
}

#[test]
fn every_provider_is_listed_with_what_is_missing_to_use_it() {
    let list = |arguments: &[&str]| {
        let mut command = rerankd(&[&["models", "--providers"], arguments].concat());
        out(&command.env("COHERE_API_KEY", "k").env("PINECONE_API_KEY", "k").output().unwrap())
    };
    let table = list(&[]);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let row = |name: &str| {
        let mut rows = table.lines().skip_while(|line| !line.trim_start().starts_with(&format!("{name} ")));
        rows.next().unwrap_or_else(|| panic!("{name}\n{table}"))
    };
    for (name, step) in [
        ("cohere", "ready: upstreams.cohere"),
        ("pinecone", "ready: pinecone/MODEL"),
        ("voyage", "set VOYAGE_API_KEY"),
        ("vllm", "declare with base_url"),
        ("elasticsearch", "declare with base_url and api_key"),
        ("zeroentropy", "retired on 2026-09-04"),
    ] {
        assert!(row(name).contains(step), "{name}: {step}\n{table}");
    }
    let list: Value = serde_json::from_str(&list(&["--json"])).unwrap();
    let data = list["data"].as_array().unwrap();
    assert_eq!(data.len(), rerankd::config::PROVIDER_FILES.len());
    for provider in data {
        row(provider["id"].as_str().unwrap());
        assert_eq!(provider["missing"].is_null(), provider["upstreams"] != serde_json::json!([]), "{provider}");
    }
    let pinecone = data.iter().find(|provider| provider["id"] == "pinecone").unwrap();
    assert_eq!((&pinecone["by_name_only"], &pinecone["group"]), (&true.into(), &"hosted".into()));
    let models = out(&rerankd(&["models"]).env("PINECONE_API_KEY", "k").output().unwrap());
    let foot = "ready by its name: pinecone/bge-reranker-v2-m3; make it the default by";
    assert!(models.contains(foot), "{models}");
    assert!(models.lines().last().unwrap().starts_with("`rerankd models --providers`"), "{models}");
}

#[test]
fn show_call_prints_what_would_be_sent_without_the_key() {
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = "[wires.mine]\npath = '/score/{model}'\nmax_passages = 10\nkey_header = 'x-key'\n\
                headers = { x-version = '2' }\nquery_parameters = { v = '1' }\n\
                [wires.mine.request]\nquery = '/q'\npassages = '/items[]/text'\nids = '/items[]/id'\n\
                instruction = '/how'\nalways = { deep = { flag = true } }\n\
                [wires.mine.reply]\nresults = '/out[]'\nid = '/id'\nscore = '/value'\ncost_usd = '/cost'\n\
                [wires.mine.other_models]\ninstruction = 'field'\n\
                [upstreams.own]\nprovider = 'mine'\nbase_url = 'http://127.0.0.1:9/v1'\napi_key = 'env:KEY'\n\
                [models.m]\ntargets = [{ upstream = 'own', model = 'org/small' }]\n";
    std::fs::write(config.path(), text).unwrap();
    let path = config.path().to_str().unwrap();
    let show = |arguments: &[&str]| {
        let mut command = rerankd(&[&["check", "--config", path, "--show-call"], arguments].concat());
        command.env("KEY", "sk-very-secret").output().unwrap()
    };
    let shown = show(&["own/org/small"]);
    let expected = r#"POST http://127.0.0.1:9/v1/score/org/small?v=1
content-type: application/json
accept: application/json
x-version: 2
x-key: <api_key>

{
  "q": "capital of Korea",
  "deep": {
    "flag": true
  },
  "how": "Prefer passages that answer the question.",
  "items": [
    {
      "id": "0",
      "text": "Busan is a port."
    },
    {
      "id": "1",
      "text": "Seoul is the capital of Korea."
    }
  ]
}

The reply is read at
  results        /out[]
  id             /id of a result
  score          /value of a result
  cost_usd       /cost

The instruction is sent if a client gives one.
Nothing was sent.
"#;
    assert_eq!(out(&shown), expected, "{}", err(&shown));
    assert_eq!(out(&show(&["m"])), expected, "a model of the configuration is its first target");
    let call: Value = serde_json::from_str(&out(&show(&["own/a", "--json"]))).unwrap();
    assert_eq!(call["url"], "http://127.0.0.1:9/v1/score/a?v=1");
    assert_eq!(call["headers"]["x-key"], "<api_key>");
    assert_eq!(call["body"]["items"][1]["text"], "Seoul is the capital of Korea.");
    assert_eq!(call["reply"]["score"], "/value of a result");
    for (target, told) in [
        ("own/a b", "the name of a model of own, which is a part of its path,"),
        ("local", "local is the embedded scorer, which sends nothing"),
        ("pincone", "no upstream, provider or model is called pincone; did you mean pinecone?"),
    ] {
        let refused = show(&[target]);
        assert!(err(&refused).contains(told) && !refused.status.success(), "{}", err(&refused));
    }
}

/// Also of providers without an upstream, so that a row can be judged before there is a key.
#[test]
fn show_call_knows_every_provider() {
    for (name, _) in rerankd::config::PROVIDER_FILES {
        let shown = run(&["check", "--show-call", name]);
        let text = out(&shown);
        assert!(text.starts_with("POST http") && text.contains("Seoul is the capital"), "{name}: {}", err(&shown));
        assert!(text.contains("\nNo upstream of "), "{text}");
    }
}

#[tokio::test]
async fn serve_prints_a_working_curl_command_and_exits_on_sigterm() {
    let (mut server, banner) = serve(rerankd(&["--listen", "127.0.0.1:0"]), Stdio::null());
    assert!(banner.contains("default  local/lexical"), "{banner}");
    let curl = banner.lines().find(|line| line.trim().starts_with("curl")).unwrap();
    let answer = Command::new("sh").args(["-c", curl.trim()]).output().unwrap();
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["results"][0]["index"], 1, "{banner}");

    let address = banner.lines().next().unwrap().rsplit("//").next().unwrap().to_owned();
    assert_eq!(out(&run(&["health", "--address", &address])), "ready\n");
    assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
    assert!(server.wait().unwrap().success(), "a signal is a clean end");
    assert_eq!(run(&["health", "--address", &address]).status.code(), Some(1));
}

#[tokio::test]
async fn sighup_leaves_server_running() {
    let (mut server, banner) = serve(rerankd(&["--listen", "127.0.0.1:0"]), Stdio::null());
    let address = banner.split("http://").nth(1).unwrap().split(['/', ' ', '\n']).next().unwrap().to_owned();
    for _ in 0..2 {
        assert!(Command::new("kill").args(["-HUP", &server.id().to_string()]).status().unwrap().success());
    }
    let client = crate::support::gateway::client();
    let status = client.get(format!("http://{address}/readyz")).send().await.unwrap().status();
    assert_eq!(status, 200);
    assert!(Command::new("kill").arg(server.id().to_string()).status().unwrap().success());
    assert!(server.wait().unwrap().success(), "it ended by the signal that ends it");
}

/// Starts a server and returns it with its banner.
fn serve(mut command: Command, log: impl Into<Stdio>) -> (Child, String) {
    let mut server = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut banner = String::new();
    for line in BufReader::new(server.stdout.take().unwrap()).lines() {
        banner.push_str(&format!("{}\n", line.unwrap()));
        if banner.contains("metrics http") {
            break;
        }
    }
    (server, banner)
}

#[cfg(feature = "cross-encoder")]
#[test]
fn banner_reports_missing_model_unless_model_dir_is_none() {
    const NOTICE: &str = "\n    local only counts words; `rerankd model fetch` (23 MB): nDCG@10 0.70 → 0.79\n\n";
    for (model_dir, is_told) in [("", true), ("none", false), ("tests/golden/local/tiny", false)] {
        let mut command = rerankd(&["--listen", "127.0.0.1:0"]);
        command.env("RERANKD__LOCAL__MODEL_DIR", model_dir);
        let (mut server, banner) = serve(command, Stdio::null());
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!(banner.contains(NOTICE), is_told, "{model_dir}\n{banner}");
    }
}

#[test]
fn banner_names_upstreams_that_lead_by_their_names_only() {
    for (variables, told) in [
        (
            &["PINECONE_API_KEY"][..],
            "ready by its name: pinecone/bge-reranker-v2-m3; make it the default by [models.default]",
        ),
        (&["COHERE_API_KEY"], "metrics http"),
        (
            &["PINECONE_API_KEY", "MORPH_API_KEY", "NEBIUS_API_KEY", "TOGETHER_API_KEY"],
            "ready by their names: morph/morph-rerank-v4, nebius/Qwen/Qwen3-Reranker-8B, pinecone/bge-reranker-v2-m3 \
             and 1 more, see `rerankd models --providers`",
        ),
    ] {
        let mut command = rerankd(&["--listen", "127.0.0.1:0"]);
        command.envs(variables.iter().map(|variable| (variable, "k")));
        let (mut server, banner) = serve(command, Stdio::null());
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(banner.contains(told), "{banner}");
        assert_eq!(banner.contains("by its name") || banner.contains("by their names"), told.starts_with("ready"));
        let default = if variables == ["COHERE_API_KEY"] { "cohere/rerank-v4.0-fast" } else { "local/" };
        assert!(banner.contains(&format!("default  {default}")), "{banner}");
    }
}

/// The server starts, and each request that needs the weights is one warning.
#[cfg(feature = "cross-encoder")]
#[tokio::test]
async fn unreadable_model_logs_one_warning_per_request_that_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("model.onnx"), "").unwrap();
    std::fs::copy(repository("tests/golden/local/tiny/tokenizer.json"), directory.path().join("tokenizer.json"))
        .unwrap();
    let mut command = rerankd(&["--listen", "127.0.0.1:0"]);
    command.env("RERANKD__LOCAL__MODEL_DIR", directory.path());
    let log = tempfile::NamedTempFile::new().unwrap();
    let (mut server, banner) = serve(command, log.reopen().unwrap());
    let url = format!("{}/rerank", banner.lines().next().unwrap().rsplit(' ').next().unwrap());
    for model in ["local", "local/cross-encoder", "local/lexical"] {
        let documents = ["a", "b", "c", "d", "e", "f"];
        let body = serde_json::json!({"model": model, "query": "capital of Korea", "documents": documents}).to_string();
        let status = crate::support::gateway::client().post(&url).body(body).send().await.unwrap().status().as_u16();
        assert_eq!(status, if model == "local/cross-encoder" { 502 } else { 200 }, "{model}");
    }
    server.kill().unwrap();
    server.wait().unwrap();
    let log = std::fs::read_to_string(log.path()).unwrap();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 2, "{log}");
    for warning in warnings {
        assert!(
            warning.contains("model.onnx cannot be used: ") && warning.contains("`rerankd model fetch`"),
            "{warning}"
        );
    }
}

#[tokio::test]
async fn port_in_use_exits_1_and_suggests_listen() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["serve", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("choose another address with --listen"), "{}", err(&output));
}

#[tokio::test]
async fn rerank_calls_configured_upstream() {
    let fake = FakeUpstream::start("cohere").await;
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = format!("{}{}", upstream("up", "cohere", &fake.url()), targets("default", &[("up", "rerank-v3.5")]));
    std::fs::write(config.path(), text).unwrap();
    let path = config.path().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        rerankd(&["rerank", "q", "examples/passages.txt", "--config", path.to_str().unwrap()])
            .env("KEY", "k")
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    assert!(out(&output).contains("by up/rerank-v3.5"), "{}{}", out(&output), err(&output));
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn rerank_shows_a_dash_for_results_of_a_selector() {
    let fake = FakeUpstream::scripted("cohere", [picks(&[1])]).await;
    let config = tempfile::NamedTempFile::new().unwrap();
    let up = upstream("up", "cohere", &fake.url());
    std::fs::write(config.path(), format!("{PICKER}{up}{}", targets("default", &[("up", "picker")]))).unwrap();
    let path = config.path().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let arguments = ["rerank", "q", "examples/passages.txt", "--explain", "--config", path.to_str().unwrap()];
        rerankd(&arguments).env("KEY", "k").output().unwrap()
    });
    let output = output.await.unwrap();
    let text = out(&output);
    let rows: Vec<Vec<&str>> = text.lines().skip(1).take(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((rows[0][1], rows[0][2], rows[1][1], rows[1][2]), ("–", "2", "–", "1"), "{text}{}", err(&output));
    assert!(text.contains(", picked") && text.contains(", left out"), "{text}");
    assert!(text.contains("by up/picker, score scale none"), "{text}");
}

/// Such a key was sent as it stood, or counted as not set.
#[cfg(unix)]
#[test]
fn malformed_api_key_fails_check_without_printing_it() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    for (value, reason) in [
        (&b"\"sk-1234\""[..], "holds quotation marks around the key"),
        (b"Bearer sk-1234", "leave that out"),
        (b"sk-\xff1234", "is not UTF-8"),
    ] {
        let output = rerankd(&["check"]).env("COHERE_API_KEY", OsStr::from_bytes(value)).output().unwrap();
        let text = err(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("upstreams.cohere.api_key: environment variable COHERE_API_KEY "), "{text}");
        assert!(text.contains(reason) && !text.contains("1234"), "{text}");
    }
}

/// `RERANKD_CONFIG=` in a file of variables was an error of the argument parser.
#[test]
fn empty_rerankd_config_variable_counts_as_unset() {
    let output = rerankd(&["check"]).env("RERANKD_CONFIG", "").output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
}
