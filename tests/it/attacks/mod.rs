//! Attacks that were withstood, kept as tests: bytes that mean two things, floods, crowds, crafted keys, providers that never end.

mod canaries;
mod crowds;
mod endless;
mod http2;
mod keys;
mod smuggling;
