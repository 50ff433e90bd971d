"""The eval index on Elasticsearch: the server nominates eval texts for training turns, the shared code scores them."""

from posttrain.decontaminate.elastic.connection import Cluster, ElasticsearchUnusable, Server, connect
from posttrain.decontaminate.elastic.index import ensure_index
from posttrain.decontaminate.elastic.search import ElasticSearch

__all__ = ["Cluster", "ElasticSearch", "ElasticsearchUnusable", "Server", "connect", "ensure_index"]
