"""The eval index on Elasticsearch: the server nominates eval texts for training turns, the shared code scores them."""

from posttrain.decontaminate.elastic.connection import Cluster, ElasticsearchUnusable, Server, connect
from posttrain.decontaminate.elastic.search import ElasticSearch, open_elastic

__all__ = ["Cluster", "ElasticSearch", "ElasticsearchUnusable", "Server", "connect", "open_elastic"]
