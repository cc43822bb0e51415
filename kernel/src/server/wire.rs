//! Jupyter's five sockets, and messages as they travel.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use jupyter_protocol::{ConnectionInfo, Header, JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{
    Connection, KernelHeartbeatConnection, KernelIoPubConnection, RawMessage, RouterRecvConnection,
    RouterSendConnection, create_kernel_control_connection, create_kernel_heartbeat_connection,
    create_kernel_iopub_connection, create_kernel_shell_connection, create_kernel_stdin_connection,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use zeromq::{SocketRecv, SocketSend};

/// A message that a front end sent. Its content stays JSON: front ends leave fields out, and what is there still counts.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the message asks for, as `execute_request`.
    pub kind: String,
    /// Its fields.
    pub content: Value,
    /// What front ends say beside: which cell it is.
    pub metadata: Value,
    origin: Origin,
}

/// Who sent a message, and which.
#[derive(Clone, Debug)]
struct Origin {
    identities: Vec<bytes::Bytes>,
    header: Header,
}

impl Request {
    /// A text field, empty where it is missing.
    pub fn text(&self, field: &str) -> &str {
        self.content[field].as_str().unwrap_or_default()
    }

    /// The page or program that sent it.
    pub fn session(&self) -> &str {
        &self.origin.header.session
    }

    /// A field that is true or false.
    pub fn flag(&self, field: &str, default: bool) -> bool {
        self.content[field].as_bool().unwrap_or(default)
    }

    /// A message that answers this one, on the socket it came from or on stdin.
    pub fn answer(&self, kind: &str, content: Value) -> JupyterMessage {
        let mut message = message(kind, content);
        message.zmq_identities = self.origin.identities.clone();
        message.parent_header = Some(self.origin.header.clone());
        message
    }

    /// A message to all front ends that came of this one.
    pub fn publication(&self, kind: &str, content: Value) -> JupyterMessage {
        let mut message = publication(kind, content);
        message.parent_header = Some(self.origin.header.clone());
        message
    }
}

/// A message to all front ends that no request stands behind.
pub fn publication(kind: &str, content: Value) -> JupyterMessage {
    let mut message = message(kind, content);
    message.zmq_identities = vec![format!("kernel.{kind}").into_bytes().into()];
    message
}

fn message(kind: &str, content: Value) -> JupyterMessage {
    let content = UnknownMessage { msg_type: kind.to_owned(), content };
    let mut message = JupyterMessage::new(JupyterMessageContent::UnknownMessage(content), None);
    message.header.username = "kernel".to_owned();
    message
}

/// The sockets, bound.
pub struct Sockets {
    pub shell: (RouterSendConnection, RouterRecvConnection),
    pub control: (RouterSendConnection, RouterRecvConnection),
    pub stdin: (RouterSendConnection, RouterRecvConnection),
    pub iopub: KernelIoPubConnection,
    pub heartbeat: KernelHeartbeatConnection,
}

impl Sockets {
    /// Binds what the connection file names.
    ///
    /// # Errors
    /// Where the file cannot be read or a port is taken.
    pub async fn bind(connection_file: &Path) -> Result<Sockets> {
        let text = std::fs::read_to_string(connection_file)
            .with_context(|| format!("cannot read the connection file {}", connection_file.display()))?;
        let information: ConnectionInfo = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a connection file", connection_file.display()))?;
        let session =
            JupyterMessage::new(JupyterMessageContent::UnknownMessage(UnknownMessage::default()), None).header.session;
        Ok(Sockets {
            heartbeat: create_kernel_heartbeat_connection(&information).await?,
            control: create_kernel_control_connection(&information, &session).await?.split(),
            stdin: create_kernel_stdin_connection(&information, &session).await?.split(),
            iopub: create_kernel_iopub_connection(&information, &session).await?,
            shell: create_kernel_shell_connection(&information, &session).await?.split(),
        })
    }
}

/// Answers every beat.
pub async fn beat(mut heartbeat: KernelHeartbeatConnection) {
    loop {
        match heartbeat.socket.recv().await {
            Ok(message) => drop(heartbeat.socket.send(message).await),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Reads the next message that can be understood; says on the kernel's stderr what cannot.
pub async fn read(connection: &mut RouterRecvConnection) -> Request {
    loop {
        let parts = match connection.socket.recv().await {
            Ok(parts) => parts,
            Err(error) => {
                // A front end that went away; the socket itself goes on.
                eprintln!("flowlens-kernel: {error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        match RawMessage::from_multipart(parts, &connection.mac).map_err(anyhow::Error::from).and_then(parse) {
            Ok(request) => return request,
            Err(error) => eprintln!("flowlens-kernel: a message is left out that cannot be read: {error:#}"),
        }
    }
}

fn parse(raw: RawMessage) -> Result<Request> {
    let mut header: Value = serde_json::from_slice(&raw.jparts[0])?;
    if let Some(fields) = header.as_object_mut() {
        for field in ["username", "session", "version"] {
            fields.entry(field).or_insert_with(|| json!(""));
        }
    }
    let header: Header = serde_json::from_value(header)?;
    let metadata = serde_json::from_slice(&raw.jparts[2]).unwrap_or_default();
    let content = serde_json::from_slice(&raw.jparts[3])?;
    Ok(Request {
        kind: header.msg_type.clone(),
        content,
        metadata,
        origin: Origin { identities: raw.zmq_identities, header },
    })
}

/// A queue in front of a socket, which its own task empties.
pub type Outbox = mpsc::Sender<JupyterMessage>;

/// Sends what comes in the queue.
pub fn outbox<S: SocketSend + Send + 'static>(mut connection: Connection<S>) -> Outbox {
    let (sender, mut receiver) = mpsc::channel::<JupyterMessage>(256);
    tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            if let Err(error) = connection.send(message).await {
                // The front end is gone.
                eprintln!("flowlens-kernel: an answer was not taken: {error}");
            }
        }
    });
    sender
}
