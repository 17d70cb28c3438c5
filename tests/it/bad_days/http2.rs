//! Day 22: a provider that speaks HTTP/2 goes away in the midst of a call. HTTP/2 is spoken where TLS negotiates it, so
//! this needs a certificate, and a process of its own that is told to trust it.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// Answers every call, but says GOAWAY to the first.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, connections: Arc<AtomicUsize>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let is_first = connections.fetch_add(1, Ordering::Relaxed) == 0;
        tokio::spawn(converse(acceptor.clone(), stream, is_first));
    }
}

async fn converse(acceptor: TlsAcceptor, stream: TcpStream, goes_away: bool) {
    let stream = acceptor.accept(stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        if goes_away {
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        } else {
            tokio::spawn(answer(request, respond));
        }
    }
}

async fn answer(request: http::Request<h2::RecvStream>, mut respond: SendResponse<Bytes>) {
    let (mut body, mut text) = (request.into_body(), Vec::new());
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    let body: Value = serde_json::from_slice(&text).unwrap();
    let count = body["documents"].as_array().unwrap().len();
    let results: Vec<_> = (0..count).map(|index| json!({ "index": index, "relevance_score": 0.5 })).collect();
    let reply = Bytes::from(json!({ "results": results }).to_string());
    respond.send_response(http::Response::new(()), false).unwrap().send_data(reply, true).unwrap();
}

#[tokio::test]
async fn day_22_http2_goaway_during_call_retries_on_new_connection() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let chain = vec![certified.cert.der().clone()];
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key.into()).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let serving = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), connections.clone()));

    let folder = tempfile::tempdir().unwrap();
    let (trusted, settings) = (folder.path().join("trusted.pem"), folder.path().join("rerankd.toml"));
    std::fs::write(&trusted, certified.cert.pem()).unwrap();
    let upstream =
        format!("[upstreams.up]\nprovider = 'cohere'\nbase_url = 'https://localhost:{port}'\napi_key = 'env:KEY'\n");
    std::fs::write(&settings, upstream).unwrap();
    let mut passages = std::fs::File::create(folder.path().join("passages.txt")).unwrap();
    passages.write_all(b"one\ntwo\n").unwrap();

    let run = tokio::process::Command::new(env!("CARGO_BIN_EXE_rerankd"))
        .args(["rerank", "q", "passages.txt", "--json", "--config", "rerankd.toml"])
        .current_dir(folder.path())
        .env_clear()
        .env("KEY", "key")
        .env("SSL_CERT_FILE", &trusted)
        .stdin(Stdio::null())
        .output();
    let output = run.await.unwrap();
    serving.abort();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["results"].as_array().unwrap().len(), 2);
    assert_eq!(answer["meta"]["rerankd"]["attempts"], 2, "the broken call was made again");
    assert_eq!(connections.load(Ordering::Relaxed), 2, "over another connection");
}
