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

#[cfg(test)]
mod tests {
    use api::notification::v1::{AttemptOutcome, Delivery, DeliveryState};
    use testkit::{Bench, eventually};

    use super::*;
    use crate::testing::{Stage, dsn};

    testkit::on_both_databases!(
        a_report_that_arrives_is_taken_in_and_moves,
        a_maildir_is_read_where_its_mails_are_new,
        a_report_that_is_still_there_after_a_crash_is_known_again,
        many_instances_share_the_work,
        what_cannot_be_read_holds_up_nothing_else,
        what_is_kept_is_bounded,
    );

    async fn sent(stage: &Stage) -> Delivery {
        stage.attempt(&stage.wanted(), AttemptOutcome::Sent, "").await
    }

    fn bounce(delivery: &Delivery) -> String {
        dsn(&delivery.message_id, "ada@example.com", "failed", "5.2.2")
    }

    async fn state(stage: &Stage, delivery: &Delivery) -> DeliveryState {
        stage.look_at(&delivery.id).await.delivery.unwrap().state()
    }

    /// The names in a folder, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn folder(stage: &Stage, name: &str) -> PathBuf {
        let folder = stage.bench.folder().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    async fn a_report_that_arrives_is_taken_in_and_moves(mut bench: Bench) {
        let folder = bench.folder().join("bounces");
        std::fs::create_dir_all(&folder).unwrap();
        // By the setting, as production does.
        Arc::make_mut(&mut bench.infra.settings).bounce_folder = Some(folder.clone());
        let stage = Stage::set(bench).await;
        let delivery = sent(&stage).await;
        std::fs::write(folder.join("other.txt"), bounce(&delivery)).unwrap();
        std::fs::write(folder.join("spam.eml"), "Subject: hello\r\n\r\nhello").unwrap();
        std::fs::write(folder.join("large.eml"), " ".repeat(MOST_BYTES + 1)).unwrap();
        let half = folder.join("half");
        std::fs::write(&half, bounce(&delivery)).unwrap();
        std::fs::rename(half, folder.join("report.eml")).unwrap();
        eventually("the delivery has bounced", async || {
            (state(&stage, &delivery).await == DeliveryState::Bounced).then_some(())
        })
        .await;
        eventually("the reports have moved", async || {
            (names(&folder) == ["done", "ignored", "other.txt"]).then_some(())
        })
        .await;
        assert_eq!(names(&folder.join(DONE)), ["report.eml"]);
        assert_eq!(names(&folder.join(IGNORED)), ["large.eml", "spam.eml"]);
    }

    async fn a_maildir_is_read_where_its_mails_are_new(bench: Bench) {
        let stage = Stage::set(bench).await;
        let folder = folder(&stage, "maildir");
        for part in ["new", "cur", "tmp"] {
            std::fs::create_dir(folder.join(part)).unwrap();
        }
        let (arrived, half) = (sent(&stage).await, sent(&stage).await);
        let name = "1767268800.M1P1.mx:2,S";
        std::fs::write(folder.join("new").join(name), bounce(&arrived)).unwrap();
        std::fs::write(folder.join("tmp/half.eml"), bounce(&half)).unwrap();
        std::fs::write(folder.join("half.eml"), bounce(&half)).unwrap();
        // Somebody's idea of a report elsewhere.
        let elsewhere = stage.bench.folder().join("elsewhere");
        std::fs::write(&elsewhere, bounce(&half)).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join("new/link")).unwrap();
        assert!(!collect(&stage.notification, &folder).await.unwrap());
        assert_eq!(state(&stage, &arrived).await, DeliveryState::Bounced);
        assert_eq!(state(&stage, &half).await, DeliveryState::Sent);
        assert_eq!(names(&folder.join("new")), ["link"]);
        assert_eq!(names(&folder.join(DONE)), [name]);
    }

    async fn a_report_that_is_still_there_after_a_crash_is_known_again(bench: Bench) {
        let stage = Stage::set(bench).await;
        let folder = folder(&stage, "bounces");
        let delivery = sent(&stage).await;
        // Taken in, and then the process died before the report moved.
        std::fs::write(folder.join("report.eml"), bounce(&delivery)).unwrap();
        bouncing::take_in(&stage.notification, bounce(&delivery).as_bytes()).await.unwrap();
        collect(&stage.notification, &folder).await.unwrap();
        assert_eq!(names(&folder.join(DONE)), ["report.eml"]);
        assert_eq!(stage.told(&delivery.id).await.len(), 2);
    }

    async fn many_instances_share_the_work(bench: Bench) {
        let stage = Stage::set(bench).await;
        let folder = folder(&stage, "bounces");
        let mut deliveries = Vec::new();
        for number in 0..BATCH + 5 {
            let delivery = sent(&stage).await;
            std::fs::write(folder.join(format!("{number:02}.eml")), bounce(&delivery)).unwrap();
            deliveries.push(delivery);
        }
        let mut more = true;
        while more {
            let runs = testkit::race(4, |_| {
                let (notification, folder) = (stage.notification.clone(), folder.clone());
                async move { collect(&notification, &folder).await.unwrap() }
            });
            more = runs.await.contains(&true);
        }
        assert_eq!(names(&folder), [DONE]);
        for delivery in deliveries {
            // Once sent and once bounced.
            assert_eq!(stage.told(&delivery.id).await.len(), 2);
        }
    }

    async fn what_cannot_be_read_holds_up_nothing_else(bench: Bench) {
        let stage = Stage::set(bench).await;
        let folder = folder(&stage, "bounces");
        // A place that cannot be moved to: for everything that is ignored.
        std::fs::write(folder.join(IGNORED), "in the way").unwrap();
        for number in 0..=BATCH {
            std::fs::write(folder.join(format!("0{number:02}.eml")), "rubbish").unwrap();
        }
        let delivery = sent(&stage).await;
        std::fs::write(folder.join("report.eml"), bounce(&delivery)).unwrap();
        assert!(collect(&stage.notification, &folder).await.is_err(), "an operator hears of it");
        assert_eq!(state(&stage, &delivery).await, DeliveryState::Bounced);
        assert_eq!(names(&folder.join(DONE)), ["report.eml"]);
        let gone = folder.join("gone");
        assert!(collect(&stage.notification, &gone).await.is_err());
    }

    async fn what_is_kept_is_bounded(bench: Bench) {
        let stage = Stage::set(bench).await;
        let folder = folder(&stage, "bounces");
        let done = folder.join(DONE);
        std::fs::create_dir(&done).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        for number in 0..KEPT {
            let file = std::fs::File::create(done.join(format!("z{number:04}.eml"))).unwrap();
            if number == 7 {
                file.set_modified(long_ago).unwrap();
            }
        }
        std::fs::write(folder.join("report.eml"), bounce(&sent(&stage).await)).unwrap();
        collect(&stage.notification, &folder).await.unwrap();
        let kept = names(&done);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.contains(&"report.eml".to_owned()));
        assert!(!kept.contains(&"z0007.eml".to_owned()), "the oldest goes first");
    }
}
