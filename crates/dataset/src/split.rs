//! Training, validation and test: 80/10/10 of the trajectories, and no task cluster on both sides of a border.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use trajforge_schema::Digest;

use crate::error::{Error, Result};

/// One part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To learn from: 80 %.
    Train,
    /// To choose by: 10 %.
    Validation,
    /// To judge by: 10 %.
    Test,
}

/// How trajectories are divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitPolicy {
    /// 80/10/10; fewer than three clusters are an error.
    #[default]
    Standard,
    /// Everything is for training, and there is one file only.
    AllTrain,
}

impl Split {
    /// All three, in the order of their files.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The word on the wire, and the name of the file before `.parquet`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// In tenths of all trajectories.
    fn tenths(self) -> i64 {
        match self {
            Self::Train => 8,
            Self::Validation | Self::Test => 1,
        }
    }
}

/// A group of trajectories that must stay together.
#[derive(Debug, Clone, Copy)]
struct Cluster<'a> {
    id: &'a str,
    rows: i64,
}

/// Gives each cluster its split, from the (cluster, category) of every trajectory in any order.
///
/// The categories are gone through one after another, each in the order of its clusters' digests; a cluster goes where
/// most is missing of what the categories so far ask for. So after each category no split is off by more than the
/// largest cluster's size, and each category is spread over the splits as evenly as its clusters allow. With few
/// clusters a split could stay empty: then it gets the smallest of the split that has most.
pub(crate) fn split(rows: &[(&str, &str)], policy: SplitPolicy) -> Result<BTreeMap<String, Split>> {
    let categories = clusters_by_category(rows);
    let clusters: usize = categories.values().map(Vec::len).sum();
    if policy == SplitPolicy::AllTrain {
        let ids = categories.values().flatten().map(|cluster| cluster.id.to_owned());
        return Ok(ids.map(|id| (id, Split::Train)).collect());
    }
    if clusters < Split::ALL.len() {
        return Err(Error::TooFewClusters { found: clusters });
    }
    let mut members: [Vec<Cluster<'_>>; 3] = Default::default();
    // What each split should have more than it has, in tenths of a trajectory.
    let mut missing = [0; 3];
    for clusters in categories.values() {
        let total: i64 = clusters.iter().map(|cluster| cluster.rows).sum();
        for (index, split) in Split::ALL.iter().enumerate() {
            missing[index] += total * split.tenths();
        }
        for cluster in clusters {
            let neediest = index_of_most(&missing);
            missing[neediest] -= cluster.rows * 10;
            members[neediest].push(*cluster);
        }
    }
    fill_the_empty(&mut members);
    let assigned = Split::ALL.iter().zip(&members);
    Ok(assigned
        .flat_map(|(split, clusters)| clusters.iter().map(|cluster| (cluster.id.to_owned(), *split)))
        .collect())
}

/// The clusters of each category, in the order of their digests. One that spans categories belongs to the first.
fn clusters_by_category<'a>(rows: &[(&'a str, &'a str)]) -> BTreeMap<&'a str, Vec<Cluster<'a>>> {
    let mut found: BTreeMap<&str, (i64, BTreeSet<&str>)> = BTreeMap::new();
    for (cluster, category) in rows {
        let (count, categories) = found.entry(cluster).or_default();
        *count += 1;
        categories.insert(category);
    }
    let mut by_category: BTreeMap<&str, Vec<Cluster<'_>>> = BTreeMap::new();
    for (id, (rows, categories)) in found {
        let category = categories.first().copied().unwrap_or_default();
        by_category.entry(category).or_default().push(Cluster { id, rows });
    }
    for clusters in by_category.values_mut() {
        clusters.sort_by_cached_key(|cluster| Digest::of(cluster.id.as_bytes()));
    }
    by_category
}

/// The first among equals.
fn index_of_most(numbers: &[i64; 3]) -> usize {
    let mut most = 0;
    for (index, number) in numbers.iter().enumerate() {
        if *number > numbers[most] {
            most = index;
        }
    }
    most
}

fn fill_the_empty(members: &mut [Vec<Cluster<'_>>; 3]) {
    while let Some(empty) = members.iter().position(Vec::is_empty) {
        let counts = [members[0].len(), members[1].len(), members[2].len()];
        let counts = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let giver = &mut members[index_of_most(&counts)];
        giver.sort_by(|a, b| (b.rows, a.id).cmp(&(a.rows, b.id)));
        let smallest = giver.pop();
        members[empty].extend(smallest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(clusters: &[(usize, usize)]) -> Vec<(String, String)> {
        let named = clusters.iter().enumerate();
        named
            .flat_map(|(index, (category, size))| {
                let row = (format!("cluster-{index}"), format!("category-{category}"));
                std::iter::repeat_n(row, *size)
            })
            .collect()
    }

    fn assigned(rows: &[(String, String)]) -> BTreeMap<String, Split> {
        let borrowed: Vec<_> = rows.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        split(&borrowed, SplitPolicy::Standard).unwrap()
    }

    fn sizes(rows: &[(String, String)], assigned: &BTreeMap<String, Split>) -> BTreeMap<Split, usize> {
        let mut sizes = BTreeMap::new();
        for (cluster, _) in rows {
            *sizes.entry(assigned[cluster]).or_default() += 1;
        }
        sizes
    }

    #[test]
    fn ten_equal_clusters_of_each_category_are_split_eight_to_one_to_one() {
        let clusters: Vec<_> = (0..60).map(|index| (index % 6, 3)).collect();
        let rows = rows(&clusters);
        let assigned = assigned(&rows);
        for category in 0..6 {
            let of_category: Vec<_> =
                rows.iter().filter(|row| row.1 == format!("category-{category}")).cloned().collect();
            let sizes = sizes(&of_category, &assigned);
            let expected = [(Split::Train, 24), (Split::Validation, 3), (Split::Test, 3)];
            assert_eq!(sizes, BTreeMap::from(expected), "category {category}");
        }
    }

    #[test]
    fn fewer_than_three_clusters_are_an_error_unless_all_is_for_training() {
        let rows = [("a", "x"), ("b", "x"), ("a", "x")];
        let error = split(&rows, SplitPolicy::Standard).unwrap_err();
        assert!(matches!(error, Error::TooFewClusters { found: 2 }));
        assert!(error.hint().unwrap().contains("all-train"));
        let all = split(&rows, SplitPolicy::AllTrain).unwrap();
        assert!(all.values().all(|split| *split == Split::Train));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_cluster_has_one_split_and_no_split_is_empty_or_far_off(
            clusters in prop::collection::vec((0usize..5, 1usize..12), 3..80),
            turn in 0usize..1000,
        ) {
            let mut rows = rows(&clusters);
            let first = assigned(&rows);
            prop_assert_eq!(first.len(), clusters.len());
            let total = rows.len();
            rows.rotate_left(turn % total);
            let again = assigned(&rows);
            prop_assert_eq!(&first, &again);

            let sizes = sizes(&rows, &first);
            prop_assert_eq!(sizes.values().sum::<usize>(), total);
            prop_assert_eq!(sizes.len(), 3);
            let largest = clusters.iter().map(|(_, size)| *size).max().unwrap() as f64;
            // With less than that in a tenth, a split may have had to be filled.
            if total as f64 / 10.0 > largest {
                for split in Split::ALL {
                    let wanted = total as f64 * split.tenths() as f64 / 10.0;
                    prop_assert!((sizes[&split] as f64 - wanted).abs() <= largest);
                }
            }
        }
    }
}
