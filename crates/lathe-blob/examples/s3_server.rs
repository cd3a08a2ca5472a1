//! `s3_server FOLDER [BUCKET…]`: serves the folder as S3 on a free port of loopback, for tests in other languages.
//! Prints endpoint, key and secret on one line each, and ends with its standard input.

#[path = "../tests/it/s3_server.rs"]
mod s3_server;

use std::io::Read;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = std::path::PathBuf::from(arguments.next().unwrap_or_else(|| ".".into()));
    for bucket in arguments {
        std::fs::create_dir_all(folder.join(bucket))?;
    }
    let address = s3_server::serve(&folder, 0).await;
    println!("http://{address}\n{}\n{}", s3_server::KEY, s3_server::SECRET);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
