//! Work that burns a processor, kept off the threads that serve requests.

pub mod offload;
pub mod workers;
