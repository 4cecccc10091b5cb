//! Measures Usher against what the machine can do, in one run. `cargo xtask bench` starts it.

mod delivery;
mod listings;
mod plans;
mod population;
mod question;
mod report;
mod scale;
mod stage;
mod timing;

const HELP: &str = "\
Measures Usher, and beside it what the same machine and database can do at best.

Usage: cargo xtask bench [scale] [--members N]
       cargo xtask bench delivery

  scale   (the default) Checks, and the first and the last page of lists, of an organisation
          with 10^3 and of one with 10^6 memberships, on PostgreSQL and through gRPC, with the
          plans of the queries. --members takes another number than 1000000.

  delivery
          Events a second of the relay beside those of a bare publish loop with the same window,
          and mails a second of the mailer beside those of a bare sender, on PostgreSQL,
          RabbitMQ and a mail server in this process: the medians of rounds in which both take
          turns, and the lowest and the highest ratio.

It prints a report in Markdown. Nothing fails for being slow.
";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let members = match arguments.as_slice() {
        [] | ["scale"] => 1_000_000,
        ["delivery"] => return delivery::measure().await,
        ["scale", "--members", number] | ["--members", number] => number.parse()?,
        _ => {
            print!("{HELP}");
            return Ok(());
        }
    };
    scale::measure(members).await
}
