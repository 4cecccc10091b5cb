use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use api::notification::v1::BounceOutcome;
use db::DbErr;
use service::Timer;
use tokio::fs;

use crate::{Notification, bouncing, report::MOST_BYTES};

/// How many reports one run takes in.
const BATCH: usize = 20;
/// How many files one run looks at, of which some may be such as cannot be read.
const LOOKED_AT: usize = 1_000;
/// How many files are kept of those that led to something, and of those that did not.
const KEPT: usize = 1_000;

/// What led to something, and what did not: beside the reports.
const DONE: &str = "done";
const IGNORED: &str = "ignored";

/// Takes in the reports that arrive in a folder, which is a maildir (then those in its `new`) or has
/// `.eml` files. Each moves to `done` or `ignored` in the folder when it is taken in; the newest
/// thousand stay there.
///
/// Rule: as [`bouncing::take_in`], which knows a report again that was taken in before a crash and is
/// still there after it. Event: `notification.delivery.bounced.v1`.
pub(crate) fn timer(notification: Arc<Notification>, folder: PathBuf) -> Timer {
    let folder = Arc::new(folder);
    Timer::new("notification.bounces", move || {
        let (notification, folder) = (notification.clone(), folder.clone());
        Box::pin(async move { collect(&notification, &folder).await })
    })
}

/// One batch of them; answers whether there may be more.
pub(crate) async fn collect(notification: &Notification, folder: &Path) -> Result<bool, DbErr> {
    let reports = reports(folder).await.map_err(|error| unreadable(&error))?;
    let (mut taken, mut failure) = (0, None);
    for path in &reports {
        if taken == BATCH {
            break;
        }
        let raw = match read(path).await {
            Ok(raw) => raw,
            // Another instance was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // The others are taken in all the same.
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        let outcome = match raw {
            Some(raw) => bouncing::take_in(notification, &raw).await?.0,
            None => BounceOutcome::Unreadable,
        };
        match keep(folder, path, outcome).await {
            Ok(()) => taken += 1,
            Err(error) => failure = Some(error),
        }
    }
    if taken > 0 {
        let pruned = async {
            prune(&folder.join(DONE)).await?;
            prune(&folder.join(IGNORED)).await
        };
        failure = failure.or(pruned.await.err());
    }
    failure.map_or(Ok(taken == BATCH), |error| Err(unreadable(&error)))
}

fn unreadable(error: &io::Error) -> DbErr {
    DbErr::Custom(format!("the bounce folder cannot be worked on: {error}"))
}

/// The files that are reports, the first by name first. What is a link to elsewhere is none.
async fn reports(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let new = folder.join("new");
    let is_maildir = fs::metadata(&new).await.is_ok_and(|found| found.is_dir());
    let mut entries = fs::read_dir(if is_maildir { &new } else { folder }).await?;
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let is_mail = is_maildir || path.extension().is_some_and(|extension| extension == "eml");
        if is_mail && entry.file_type().await.is_ok_and(|kind| kind.is_file()) {
            found.push(path);
            if found.len() == LOOKED_AT {
                break;
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The report; `None` if it is larger than any is.
async fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let size = fs::metadata(path).await?.len();
    if size > MOST_BYTES as u64 { Ok(None) } else { fs::read(path).await.map(Some) }
}

/// Moves a report that was taken in to its place.
async fn keep(folder: &Path, path: &Path, outcome: BounceOutcome) -> io::Result<()> {
    let place = folder.join(match outcome {
        BounceOutcome::Bounced
        | BounceOutcome::Complained
        | BounceOutcome::Noted
        | BounceOutcome::Repeated => DONE,
        BounceOutcome::Unspecified
        | BounceOutcome::Unreadable
        | BounceOutcome::Unknown
        | BounceOutcome::Overtaken => IGNORED,
    });
    fs::create_dir_all(&place).await?;
    let Some(name) = path.file_name() else { return Ok(()) };
    match fs::rename(path, place.join(name)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved,
    }
}

/// Removes what is oldest in a place.
async fn prune(place: &Path) -> io::Result<()> {
    let mut entries = match fs::read_dir(place).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut kept = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let written = entry.metadata().await.and_then(|found| found.modified());
        kept.push((written.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
    }
    if kept.len() > KEPT {
        kept.sort_unstable();
        for (_, path) in &kept[..kept.len() - KEPT] {
            fs::remove_file(path).await?;
        }
    }
    Ok(())
}
