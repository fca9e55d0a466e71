//! The ceiling for `scripts/bench check`: poem's own server and one handler that answers a constant.

use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Route, Server, get, handler};

#[handler]
fn hello() -> &'static str {
    "This is a secret message."
}

#[tokio::main]
async fn main() -> Result<(), std::io::Error> {
    let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await?;
    for address in acceptor.local_addr().iter().filter_map(|local| local.as_socket_addr()) {
        eprintln!("Listening at: http://{address}");
    }
    Server::new_with_acceptor(acceptor).run(Route::new().at("/secret/", get(hello))).await
}
