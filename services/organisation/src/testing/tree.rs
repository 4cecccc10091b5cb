use std::collections::{BTreeSet, HashMap};

use sea_orm::EntityTrait as _;

use super::Stage;
use crate::entity::{ancestor, organisation};

impl Stage {
    /// Fails unless the tree is in order: ancestry, depths and archive marks are those that follow
    /// from the parents.
    pub(crate) async fn check_tree(&self) {
        let database = self.service.database.read();
        let nodes = organisation::Entity::find().all(database).await.unwrap();
        let by_id: HashMap<_, _> = nodes.iter().map(|node| (node.id, node)).collect();
        let mut expected = BTreeSet::new();
        for node in &nodes {
            let mut chain = vec![node.id];
            while let Some(above) = by_id[&chain[chain.len() - 1]].parent_id {
                assert!(!chain.contains(&above), "{} is below itself", node.display_name);
                chain.push(above);
            }
            assert_eq!(usize::try_from(node.depth), Ok(chain.len() - 1), "{}", node.display_name);
            let mut closing = chain.iter().filter(|id| by_id[id].archived_by == Some(**id));
            assert_eq!(node.archived_by.as_ref(), closing.next(), "{}", node.display_name);
            expected.extend((0..).zip(chain).map(|(distance, above)| (node.id, above, distance)));
        }
        let rows = ancestor::Entity::find().all(database).await.unwrap();
        let rows = rows.into_iter().map(|row| (row.organisation_id, row.ancestor_id, row.distance));
        assert_eq!(rows.collect::<BTreeSet<_>>(), expected);
    }
}
