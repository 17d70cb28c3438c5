//! An axum server that does nothing but the obvious (`handler.rs`): the measure for all that rerankd does besides.
#![expect(clippy::unwrap_used, reason = "a measuring device fails by panicking")]

mod handler;

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).unwrap();
    axum::serve(tokio::net::TcpListener::bind(address).await.unwrap(), handler::router()).await.unwrap();
}
