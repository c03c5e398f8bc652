"""Three Kafka brokers and, apart from them, their controller: any two brokers may be down, and a leader is elected."""

import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, OffsetSpec

from tests.chaos.hosts import Host
from tests.chaos.processes import Process
from tests.support.brokers import PROPERTIES, broker_jars, cluster_id

BROKERS = 3
CONTROLLER = 100  # its id
PROPERTIES_OF_THREE: Mapping[str, str] = {
    **PROPERTIES,
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "min.insync.replicas": "2",
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "300",
    "replica.lag.time.max.ms": "3000",
    "unclean.leader.election.interval.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "2",
    "num.io.threads": "2",
}
_JAVA = ("java", "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
ADMIN_SECONDS, START_SECONDS = 10.0, 60.0


class Cluster:
    """The brokers and the controller; `brokers` are processes, by the order of their ids from 1."""

    def __init__(self, controller: Host, hosts: list[Host], folder: Path, logs: Path) -> None:
        java = [*_JAVA, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{broker_jars()}/*"]
        quorum = f"{controller.address}:{controller.port(9093)}"
        common = {**PROPERTIES_OF_THREE, "controller.quorum.voters": f"{CONTROLLER}@{quorum}"}
        own = {
            CONTROLLER: (controller, {"process.roles": "controller", "listeners": f"CONTROLLER://{quorum}"}),
        }
        addresses = []
        for number, host in enumerate(hosts, 1):
            listener = f"{host.address}:{host.port(9092)}"
            addresses.append(listener)
            of_broker = {"process.roles": "broker", "listeners": f"PLAINTEXT://{listener}"}
            own[number] = (host, of_broker | {"advertised.listeners": f"PLAINTEXT://{listener}"})
        self.addresses = ",".join(addresses)
        cluster, formatting = cluster_id(), []
        processes = []
        for number, (host, properties) in own.items():
            config = folder / f"broker-{number}.properties"
            all_of_them = {**common, **properties, "node.id": str(number), "log.dirs": str(folder / f"broker-{number}")}
            config.write_text("".join(f"{name}={value}\n" for name, value in all_of_them.items()))
            command = [*java, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(config)]
            formatting.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
            log = logs / f"kafka-{number}.log"
            processes.append(Process(host, f"kafka-{number}", [*java, "kafka.Kafka", str(config)], log, os.environ))
        for each in formatting:
            said, _ = each.communicate()
            if each.returncode:
                raise RuntimeError(f"a broker's storage cannot be formatted: {said}")
        self.controller, *self.brokers = processes

    def start(self) -> None:
        """Start all of them, and wait until each is there."""
        for process in (self.controller, *self.brokers):
            process.start()
        deadline = time.monotonic() + START_SECONDS
        while self._count() < BROKERS:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all brokers are there after {START_SECONDS:.0f} seconds")
            time.sleep(0.2)

    def _count(self) -> int:
        with suppress(KafkaException):
            return len(self._admin().list_topics(timeout=1.0).brokers)
        return 0

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.addresses, "log_level": 0})

    def ends(self, topic: str, partitions: int) -> list[int]:
        """Return the offset of the last record of each partition, -1 where it is empty. Raises `KafkaException`."""
        admin = self._admin()
        asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}
        found = admin.list_offsets(asked, request_timeout=ADMIN_SECONDS)
        return [found[place].result(ADMIN_SECONDS).offset - 1 for place in asked]

    def is_whole(self, topic: str) -> bool:
        """Return True if each replica of each partition is in sync."""
        try:
            found = self._admin().list_topics(timeout=ADMIN_SECONDS)
        except KafkaException:
            return False
        described = found.topics.get(topic)
        return described is not None and all(len(p.isrs) == BROKERS for p in described.partitions.values())

    def allow_unclean_leaders(self, topic: str) -> None:
        """Let a replica lead that is not in sync, where no other is there: what it lacks is lost."""
        entry = ConfigEntry("unclean.leader.election.enable", "true", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = self._admin()  # kept, or its answer is lost with it
        admin.incremental_alter_configs([resource])[resource].result(ADMIN_SECONDS)

    def leader(self, topic: str, partition: int) -> int:
        """Return the id of a partition's leader, -1 where it has none. Raises `KafkaException`."""
        found = self._admin().list_topics(topic, timeout=ADMIN_SECONDS)
        return int(found.topics[topic].partitions[partition].leader)
