//! Attacks kept as tests: ambiguous bytes, floods, large crowds, crafted keys, providers that never finish.

mod canaries;
mod crowds;
mod endless;
mod http2;
mod keys;
mod smuggling;
