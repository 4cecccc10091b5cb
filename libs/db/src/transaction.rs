use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sea_orm::{DatabaseTransaction, DbErr};
use tokio::sync::Notify;

/// A transaction for writing. Dropped without [`Transaction::commit`], it is rolled back.
pub struct Transaction {
    inner: DatabaseTransaction,
    published: AtomicBool,
    committed: Arc<Notify>,
}

impl Transaction {
    pub(crate) fn new(inner: DatabaseTransaction, committed: Arc<Notify>) -> Self {
        Self { inner, published: AtomicBool::new(false), committed }
    }

    /// Commits, and wakes the relay if events were published.
    pub async fn commit(self) -> Result<(), DbErr> {
        self.inner.commit().await?;
        if self.published.into_inner() {
            fault::point("after-commit");
            self.committed.notify_one();
        }
        Ok(())
    }

    pub(crate) fn mark_published(&self) {
        self.published.store(true, Ordering::Relaxed);
    }
}

impl Deref for Transaction {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.inner
    }
}
