//! What a program does with a node, one step a command; each prints lines of JSON.
//!
//! ```text
//! tour status NODE                           chain id and height
//! tour blocks NODE PAGE_SIZE                 all blocks, the highest first, by pages
//! tour watch NODE FROM COUNT                 COUNT blocks from height FROM on; continues after a break
//! tour upload NODE FILE                      stores an artifact
//! tour download NODE ID FILE                 fetches it
//! tour error NODE                            shows the details of an error
//! tour send NODE GENESIS KEY ADDRESS AMOUNT  pays from the key whose seed is in the file KEY
//! tour prove NODE GENESIS TASK ADDRESS       checks a task's payments, trusting the genesis alone
//! ```

use std::pin::pin;
use std::process::ExitCode;

use serde_json::json;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;

use fedcoin::client::Client;
use fedcoin::crypto::Key;
use fedcoin::proof::Genesis;
use fedcoin::refusal::Refusal;
use fedcoin::v1::GetTaskRequest;

const MAX_ARTIFACT_BYTES: u64 = 1 << 30;

#[tokio::main]
async fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    match step(&given).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn step(given: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let [name, node, given @ ..] = given else {
        return Err("usage: tour STEP NODE [ARGUMENTS], see the comment in tour.rs".into());
    };
    // Plaintext is only for a node on this machine. For others, use https:// and tonic's feature for TLS.
    let client = Client::new(Endpoint::from_shared(format!("http://{node}"))?);
    match (*name, given) {
        ("status", []) => {
            let found = client.status().await?;
            println!("{}", json!({"chain_id": found.chain_id, "height": found.height}));
        }
        ("blocks", [page_size]) => {
            let mut blocks = pin!(client.blocks(page_size.parse()?));
            while let Some(block) = blocks.next().await.transpose()? {
                println!("{}", json!({"height": block.height, "hash": block.hash}));
            }
        }
        ("watch", [from, count]) => {
            let mut events = pin!(client.watch(from.parse()?).take(count.parse()?));
            while let Some(found) = events.next().await.transpose()? {
                let height = found.block.unwrap_or_default().height;
                println!("{}", json!({"height": height, "payments": found.payments.len()}));
            }
        }
        ("upload", [file]) => {
            let id = client.upload(&std::fs::read(file)?).await?;
            println!("{}", json!({"id": hex::encode(id)}));
        }
        ("download", [id, file]) => {
            let data = client.download(&hex::decode(id)?, MAX_ARTIFACT_BYTES).await?;
            std::fs::write(file, &data)?;
            println!("{}", json!({"bytes": data.len()}));
        }
        ("error", []) => {
            let request = GetTaskRequest { task_id: "zz".to_owned() };
            let refused = client.tasks.clone().get_task(request).await.err().ok_or("the node did not refuse")?;
            let Refusal { status, reason, domain, field, limit, message } = refused.into();
            let status = format!("{status:?}");
            let shown = json!({
                "status": status, "reason": reason, "domain": domain,
                "field": field, "limit": limit, "message": message,
            });
            println!("{shown}");
        }
        ("send", [genesis, key, address, amount]) => {
            let genesis = Genesis::parse(&std::fs::read(genesis)?)?;
            let key = Key::load(key.as_ref())?;
            let sent = client.send(&key, &genesis, address.parse()?, amount.parse()?).await?;
            println!("{}", json!({"hash": sent.hash, "height": sent.height}));
        }
        ("prove", [genesis, task, address]) => {
            let genesis = Genesis::parse(&std::fs::read(genesis)?)?;
            for proved in client.prove_payments(genesis, task, address.parse()?).await? {
                let kind = proved.payment.kind().as_str_name();
                println!("{}", json!({"height": proved.header.height, "kind": kind, "amount": proved.payment.amount}));
            }
        }
        _ => return Err(format!("there is no step {name} with these arguments").into()),
    }
    Ok(())
}
