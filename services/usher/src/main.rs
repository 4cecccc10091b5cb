use clap::Parser as _;
use usher::cli::Cli;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match Cli::parse().run().await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("usher: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
