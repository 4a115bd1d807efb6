//! A client of one node, which goes on after breaks.

use std::future::Future;
use std::time::Duration;

use async_stream::try_stream;
use prost::Message;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Channel, Endpoint};
use tonic::Status;

use crate::crypto::{leaf_hash, merkle_root, Address, Hash, Key, TRANSACTION};
use crate::proof::{Genesis, ProofError, ProvedPayment, TrustPath};
use crate::refusal::Refusal;
use crate::v1::artifact_service_client::ArtifactServiceClient;
use crate::v1::artifact_upload_service_client::ArtifactUploadServiceClient;
use crate::v1::node_service_client::NodeServiceClient;
use crate::v1::shapley_task_service_client::ShapleyTaskServiceClient;
use crate::v1::transaction_body::Action;
use crate::v1::transaction_service_client::TransactionServiceClient;
use crate::v1::upload_request::Part;
use crate::v1::*;

/// The size of an artifact's chunks; the last one may be shorter.
pub const CHUNK_BYTES: usize = 262_144;
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);
const EXPIRY_BLOCKS: u64 = 200;
const MAX_FEE_FACTOR: u64 = 20; // of the minimum fee: more is not paid, whatever the node says

/// Why something failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Unproved(#[from] ProofError),
    #[error("{0}")]
    Other(String),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Refused(status.into())
    }
}

impl Error {
    fn is_passing(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_passing())
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Calls one node. The stubs are its fields; they are cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub node: NodeServiceClient<Channel>,
    pub transactions: TransactionServiceClient<Channel>,
    pub tasks: ShapleyTaskServiceClient<Channel>,
    pub artifacts: ArtifactServiceClient<Channel>,
    pub uploads: ArtifactUploadServiceClient<Channel>,
}

impl Client {
    /// Makes a client of the node at an endpoint, `http://host:port` for a node on this machine. It connects with the
    /// first call.
    pub fn new(endpoint: Endpoint) -> Self {
        // Nodes accept a ping every 5 s. Pings find out that a connection is dead.
        let alive =
            endpoint.http2_keep_alive_interval(Duration::from_secs(20)).keep_alive_timeout(Duration::from_secs(10));
        let channel = alive.connect_timeout(Duration::from_secs(10)).connect_lazy();
        Self {
            node: NodeServiceClient::new(channel.clone()),
            transactions: TransactionServiceClient::new(channel.clone()),
            tasks: ShapleyTaskServiceClient::new(channel.clone()),
            artifacts: ArtifactServiceClient::new(channel.clone()),
            uploads: ArtifactUploadServiceClient::new(channel),
        }
    }

    /// Returns the node's identity, height and more.
    pub async fn status(&self) -> Result<GetStatusResponse> {
        let mut node = self.node.clone();
        call(node.get_status(GetStatusRequest {})).await
    }

    /// Lists the blocks that the node keeps, the highest first, by pages.
    pub fn blocks(&self, page_size: u32) -> impl Stream<Item = Result<BlockView>> + '_ {
        try_stream! {
            let mut page_token = String::new();
            loop {
                let mut node = self.node.clone();
                let page = call(node.list_blocks(ListBlocksRequest { page_size, page_token })).await?;
                for block in page.blocks {
                    yield block;
                }
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
        }
    }

    /// Lists the blocks that changed the validators, the lowest first.
    pub async fn validator_changes(&self) -> Result<Vec<ValidatorChange>> {
        let mut changes = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListValidatorChangesRequest { page_size: 0, page_token, below_height: 0 };
            let mut node = self.node.clone();
            let page = call(node.list_validator_changes(request)).await?;
            changes.extend(page.changes);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(changes);
            }
        }
    }

    /// Yields the events of each block from a height on, in order and without a gap; 0 means the next new block. When the
    /// stream breaks, it calls again with growing pauses and continues behind the last block.
    pub fn watch(&self, from_height: u64) -> impl Stream<Item = Result<WatchEventsResponse>> + '_ {
        self.watch_addresses(from_height, Vec::new())
    }

    /// Yields the events of the blocks that concern one of up to 16 addresses, with these events alone, and of each
    /// hundredth block; else like `watch`. No addresses: all events of all blocks.
    pub fn watch_addresses(
        &self,
        from_height: u64,
        addresses: Vec<String>,
    ) -> impl Stream<Item = Result<WatchEventsResponse>> + '_ {
        try_stream! {
            // A height of its own: a stream that breaks before its first block must not skip one.
            let mut next = match from_height {
                0 => persistently(async || self.status().await).await?.height + 1,
                height => height,
            };
            let mut pause = Pause::default();
            loop {
                let opened = self.node.clone().watch_events(WatchEventsRequest { from_height: next, addresses: addresses.clone() }).await;
                let mut events = match opened.map_err(Error::from) {
                    Ok(events) => events.into_inner(),
                    Err(error) if error.is_passing() => {
                        pause.wait().await;
                        continue;
                    }
                    Err(error) => Err(error)?,
                };
                while let Some(found) = events.next().await {
                    match found.map_err(Error::from) {
                        Ok(found) => {
                            next = found.block.as_ref().map_or(next, |block| block.height) + 1;
                            pause = Pause::default();
                            yield found;
                        }
                        Err(error) if error.is_passing() => break,
                        Err(error) => Err(error)?,
                    }
                }
                pause.wait().await;
            }
        }
    }

    /// Stores an artifact, which must not be empty, and returns its id. Continues after a break.
    pub async fn upload(&self, data: &[u8]) -> Result<Vec<u8>> {
        let manifest = manifest_of(data);
        persistently(async || {
            let mut uploads = self.uploads.clone();
            let id = manifest.id.clone();
            let status = call(uploads.get_upload_status(GetUploadStatusRequest { id, proof: None })).await?;
            if !status.complete {
                uploads.upload(tokio_stream::iter(upload_requests(&manifest, data, status.next_chunk))).await?;
            }
            Ok(manifest.id.clone())
        })
        .await
    }

    /// Fetches an artifact and checks every chunk. Continues after a break.
    pub async fn download(&self, id: &[u8], max_bytes: u64) -> Result<Vec<u8>> {
        let request = GetManifestRequest { id: id.to_vec(), proof: None };
        let manifest = call(self.artifacts.clone().get_manifest(request)).await?.manifest.unwrap_or_default();
        check_manifest(&manifest, id)?;
        if manifest.size > max_bytes {
            return Err(Error::Other(format!("the artifact has {} bytes, too many", manifest.size)));
        }
        let mut data = Vec::new();
        persistently(async || {
            let first_chunk = (data.len() / CHUNK_BYTES) as u32;
            let request = DownloadRequest { id: id.to_vec(), first_chunk, proof: None };
            let mut chunks = self.artifacts.clone().download(request).await?.into_inner();
            let mut next = first_chunk;
            while let Some(chunk) = chunks.next().await.transpose()? {
                let expected = manifest.chunk_hashes.get(next as usize);
                if chunk.index != next || expected.is_none_or(|hash| *hash != leaf_hash(&chunk.data)) {
                    return Err(Error::Other(format!("the node sent a wrong chunk {}", chunk.index)));
                }
                data.extend(chunk.data);
                next += 1;
            }
            Ok(())
        })
        .await?;
        if data.len() as u64 != manifest.size {
            return Err(Error::Other("the node sent too few bytes".to_owned()));
        }
        Ok(data)
    }

    /// Signs a transfer of an amount in sap, submits it, and returns when it is final.
    pub async fn send(&self, key: &Key, genesis: &Genesis, to: Address, amount: u64) -> Result<TransactionView> {
        let mut node = self.node.clone();
        let address = key.address().to_string();
        let account = call(node.get_account(GetAccountRequest { address })).await?.account.unwrap_or_default();
        let fees = call(node.get_fees(GetFeesRequest {})).await?;
        let output = TransferOutput { recipient: to.0.to_vec(), amount };
        let body = TransactionBody {
            chain_id: genesis.chain_id.clone(),
            nonce: account.nonce,
            fee: choose_fee(&fees),
            expiry_height: self.status().await?.height + fees.max_expiry_blocks.min(EXPIRY_BLOCKS),
            action: Some(Action::Transfer(Transfer { outputs: vec![output] })),
        };
        self.submit(sign_transaction(key, &genesis.hash, body.encode_to_vec())).await
    }

    /// Submits a serialised SignedTransaction, and returns when it is final. Submitting the same bytes again is safe.
    pub async fn submit(&self, transaction: Vec<u8>) -> Result<TransactionView> {
        let mut transactions = self.transactions.clone();
        let hash = call(transactions.submit_transaction(SubmitTransactionRequest { transaction })).await?.hash;
        persistently(async || {
            let request = WatchTransactionRequest { hash: hash.clone() };
            let mut states = self.transactions.clone().watch_transaction(request).await?.into_inner();
            while let Some(state) = states.next().await.transpose()? {
                let view = state.transaction.unwrap_or_default();
                match view.status() {
                    TransactionStatus::Final => return Ok(view),
                    TransactionStatus::Dropped => {
                        return Err(Error::Other(format!("{hash} was dropped: {}", view.reason)));
                    }
                    _ => {}
                }
            }
            Err(Status::unavailable("the node ended the stream").into())
        })
        .await
    }

    /// Asks for the proofs of a task's payments to an address, and checks them by the genesis alone. It proves that these
    /// payments were made, not that there were no others.
    pub async fn prove_payments(&self, genesis: Genesis, task_id: &str, to: Address) -> Result<Vec<ProvedPayment>> {
        let request = GetPaymentProofRequest { task_id: task_id.to_owned(), address: to.to_string() };
        let proofs = call(self.tasks.clone().get_payment_proof(request)).await?.proofs;
        let mut trust = TrustPath::new(genesis);
        for change in self.validator_changes().await? {
            trust.follow(&change)?;
        }
        let check = |proof| {
            let proved = trust.check(proof)?;
            if hex::encode(&proved.payment.task_id) != task_id || proved.payment.address != to.0 {
                return Err(Error::Other("the node proved another payment than the one that was asked for".to_owned()));
            }
            Ok(proved)
        };
        proofs.iter().map(check).collect()
    }
}

/// Signs a serialised body, and returns the serialised SignedTransaction.
pub fn sign_transaction(key: &Key, genesis_hash: &Hash, body: Vec<u8>) -> Vec<u8> {
    let signature = key.sign(TRANSACTION, genesis_hash, &body).to_vec();
    SignedTransaction { body, public_key: key.public_key().to_vec(), signature, ..Default::default() }.encode_to_vec()
}

/// The lowest fee with which a transfer with one output, which has less than one KiB, is in the next block.
fn choose_fee(fees: &GetFeesResponse) -> u64 {
    let minimum = fees.base_fee + fees.fee_per_kib;
    minimum.max(fees.mempool_fee_rate).max(fees.next_block_fee_rate).min(MAX_FEE_FACTOR * minimum)
}

/// Cuts an artifact into chunks and hashes them.
pub fn manifest_of(data: &[u8]) -> ArtifactManifest {
    let hashes: Vec<Hash> = data.chunks(CHUNK_BYTES).map(leaf_hash).collect();
    ArtifactManifest {
        id: merkle_root(&hashes).to_vec(),
        size: data.len() as u64,
        chunk_hashes: hashes.iter().map(|hash| hash.to_vec()).collect(),
    }
}

fn check_manifest(manifest: &ArtifactManifest, id: &[u8]) -> Result<()> {
    let hashes = manifest.chunk_hashes.iter().map(|hash| hash.as_slice().try_into());
    match hashes.collect::<std::result::Result<Vec<Hash>, _>>() {
        Ok(hashes) if merkle_root(&hashes) == id => Ok(()),
        _ => Err(Error::Other("the manifest is of another artifact".to_owned())),
    }
}

fn upload_requests(manifest: &ArtifactManifest, data: &[u8], next_chunk: u32) -> Vec<UploadRequest> {
    let chunks = data.chunks(CHUNK_BYTES).enumerate().skip(next_chunk as usize);
    let chunks = chunks.map(|(index, data)| Part::Chunk(ArtifactChunk { index: index as u32, data: data.to_vec() }));
    let parts = std::iter::once(Part::Manifest(manifest.clone())).chain(chunks);
    parts.map(|part| UploadRequest { part: Some(part), proof: None }).collect()
}

/// Makes a call with a single reply, within a minute.
async fn call<R>(calling: impl Future<Output = std::result::Result<tonic::Response<R>, Status>>) -> Result<R> {
    match tokio::time::timeout(CALL_TIMEOUT, calling).await {
        Ok(reply) => Ok(reply?.into_inner()),
        Err(_) => Err(Status::deadline_exceeded("the node did not answer within a minute").into()),
    }
}

/// Repeats an action while repeating can help.
async fn persistently<T>(mut action: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let mut pause = Pause::default();
    loop {
        match action().await {
            Err(error) if error.is_passing() => pause.wait().await,
            done => return done,
        }
    }
}

/// A pause that grows with each failure in a row.
#[derive(Default)]
struct Pause(Option<Duration>);

impl Pause {
    async fn wait(&mut self) {
        let length = self.0.map_or(MIN_PAUSE, |length| (2 * length).min(MAX_PAUSE));
        self.0 = Some(length);
        tokio::time::sleep(length).await;
    }
}
