//! Calls FedCoin nodes, signs transactions, and checks payments without trusting a node.
//!
//! What is hashed and signed is described in docs/PROTOCOL.md, and each call in the `.proto` files.

pub mod client;
pub mod crypto;
pub mod encoding;
pub mod proof;
pub mod refusal;

/// The stubs, generated from the descriptors of the services.
pub mod v1 {
    #![allow(clippy::all)]
    tonic::include_proto!("fedcoin.v1");
}
