"""Duplicates: exact conversations, exact prompts and near duplicates, within and across sources.

The work is cut so that rows are read shard by shard and compared all at once:

1. per shard, in any process: `fingerprints.fingerprint` → digests and MinHash signatures of its rows;
2. once, over all shards: `decide.decide` → which rows are kept, and which row stands for each dropped one;
3. per shard: the stage writes its rows by that decision; `clusters.cluster_table` is the record of it.

A row is dropped for a near duplicate only where its exact Jaccard with a *kept* row reaches the threshold.
"""
