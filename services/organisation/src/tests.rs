//! Random lives of a tree, held against a model.
//!
//! A life is a row of steps drawn at random: organisations are made, moved and archived, roles are
//! made, changed and deleted, people are added, changed, invited and removed, and time passes.
//!
//! - `model`: what the rules make of each step, as simply as they can be said.
//! - `steps`: what is drawn.
//! - `choosing`: who takes a step with what, of all that there is by then.
//! - `doing`: a step done with the service; it is done or refused as the model says.
//! - `comparing`: what everybody may do everywhere, and what is listed to whom, as the model says.
//!
//! The lives are those of the same seeds each time, others on each database, so that a red run is
//! somebody's change and not luck. A failure tells the shortest story found of a life that goes wrong,
//! and its seed. `USHER_TEST_LIVES=17..18` lives that one again, and `1000..2000` looks at others.

mod choosing;
mod comparing;
mod doing;
mod life;
mod model;
mod steps;

use std::{collections::BTreeMap, ops::Range, sync::Mutex};

use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestError, TestRng, TestRunner},
};
use testkit::Bench;

use life::Life;
use steps::{About, DEEDS, Deed};

/// What most of a life is about, in turn.
const FOCI: [[About; 2]; 4] = [
    [About::Tree, About::Roles],
    [About::Tree, About::Members],
    [About::Roles, About::Invitations],
    [About::Members, About::Invitations],
];

#[test]
fn random_lives_go_as_the_model_says_on_sqlite() {
    live_all(0..16, Bench::sqlite);
}

#[test]
fn random_lives_go_as_the_model_says_on_postgres() {
    live_all(16..26, Bench::postgres);
}

/// Lives the lives of these seeds, or of those that are asked for.
fn live_all(seeds: Range<u64>, bench: impl AsyncFn() -> Bench) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done = Mutex::new(BTreeMap::<Deed, [u32; 2]>::new());
    let asked = std::env::var("USHER_TEST_LIVES").ok();
    for seed in asked.as_deref().map_or(seeds, range) {
        let focus = FOCI[usize::try_from(seed).unwrap() % FOCI.len()];
        let outcome = runner(seed).run(&steps::some(focus), |steps| {
            runtime.block_on(async {
                let mut life = Life::begin(bench().await).await;
                for (deed, is_done) in life.live(&steps).await.map_err(TestCaseError::fail)? {
                    done.lock().unwrap().entry(deed).or_default()[usize::from(is_done)] += 1;
                }
                Ok(())
            })
        });
        if let Err(TestError::Fail(why, _) | TestError::Abort(why)) = outcome {
            panic!("life {seed}: {why}\nUSHER_TEST_LIVES={seed}..{} lives it again", seed + 1);
        }
    }
    let done = done.into_inner().unwrap();
    if asked.is_none() {
        // Of what was hardly ever done nothing would be said.
        let rare = |deed: &Deed| done.get(deed).is_none_or(|times| times[1] < 3);
        let rare: Vec<_> = DEEDS.into_iter().map(|(_, deed)| deed).filter(rare).collect();
        assert!(rare.is_empty(), "hardly ever done: {rare:?}; not done and done: {done:?}");
    }
}

fn range(text: &str) -> Range<u64> {
    let (from, to) = text.split_once("..").expect("USHER_TEST_LIVES is two numbers: 17..18");
    from.parse().unwrap()..to.parse().unwrap()
}

/// Draws one life, and looks for a shorter one if that goes wrong.
fn runner(seed: u64) -> TestRunner {
    let config = ProptestConfig {
        cases: 1,
        max_shrink_iters: 100,
        max_shrink_time: 60_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}
