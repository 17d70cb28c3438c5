//! The types that every part of rerankd speaks of: a request, its response, and the facts about models. They know
//! nothing of each other's users.

pub mod facts;
pub mod request;
pub mod response;
