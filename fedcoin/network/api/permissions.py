"""Which role a caller needs for each method of each service.

Every method of every service of this project is listed, those of other listeners as well, so that a
new method cannot be served without a decision (a test compares the table with the descriptors).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class ApiRole(str, Enum):
    """What the bearer of a token may do. Each role includes those before it."""

    READ = "read"
    """Read the chain, the node's status and artifacts."""
    SUBMIT = "submit"
    """Also submit signed transactions and upload artifacts."""
    ADMIN = "admin"
    """Also operate the node: `AdminService`."""

    def includes(self, other: ApiRole) -> bool:
        """Tell whether this role may do what another may.

        Args:
            other: The role that a method needs.

        Returns:
            True when it is this role or one before it.
        """
        roles = list(ApiRole)
        return roles.index(self) >= roles.index(other)


class Rule(str, Enum):
    """What a method asks of its caller when it is no role of a token."""

    OPEN = "open"
    """Nothing."""
    SESSION = "session"
    """A peer's session, of its handshake (`PeerService`)."""
    SIGNATURE = "signature"
    """A client's signature in the request, or nothing; served by coordinators."""


def _methods(service: str, rule: ApiRole | Rule, names: str) -> dict[str, ApiRole | Rule]:
    return {f"/{service}/{name}": rule for name in names.split()}


PERMISSIONS: Final[Mapping[str, ApiRole | Rule]] = MappingProxyType(
    {
        **_methods(
            "fedcoin.v1.NodeService",
            ApiRole.READ,
            "GetStatus GetVersion GetAccount ListValidators ListValidatorChanges GetBlock "
            "ListBlocks GetFees ListConnectedPeers WatchEvents",
        ),
        **_methods(
            "fedcoin.v1.ShapleyTaskService",
            ApiRole.READ,
            "ListTasks GetTask WatchTask ListCampaigns GetCampaign GetNextRound ListPayments "
            "GetEvidence GetPaymentProof",
        ),
        **_methods(
            "fedcoin.v1.TransactionService",
            ApiRole.READ,
            "GetTransaction WatchTransaction ListPendingTransactions",
        ),
        **_methods(
            "fedcoin.v1.TransactionService", ApiRole.SUBMIT, "SubmitTransaction SubmitTransactions"
        ),
        **_methods("fedcoin.v1.ArtifactService", ApiRole.READ, "GetManifest Download"),
        **_methods("fedcoin.v1.ArtifactUploadService", ApiRole.SUBMIT, "Upload GetUploadStatus"),
        **_methods(
            "fedcoin.v1.AdminService",
            ApiRole.ADMIN,
            "AddPeer DropPeer BanPeer SetLogLevel Backup Drain Stop",
        ),
        **_methods(
            "fedcoin.v1.FederatedLearningService",
            Rule.SIGNATURE,
            "Register WatchRounds AnnounceUpdate SubmitUpdate GetCampaignStatus",
        ),
        **_methods("fedcoin.v1.PeerService", Rule.OPEN, "Hello Authenticate"),
        **_methods("fedcoin.v1.PeerService", Rule.SESSION, "ListPeers Ping"),
        **_methods(
            "fedcoin.v1.BlockGossipService",
            Rule.SESSION,
            "AnnounceBlock ListHeaders StreamBlocks ListSnapshots StreamSnapshot",
        ),
        **_methods("fedcoin.v1.ConsensusService", Rule.SESSION, "Exchange"),
        **_methods("fedcoin.v1.TransactionRelayService", Rule.SESSION, "RelayTransactions"),
        # Load balancers and container engines ask without a token.
        **_methods("grpc.health.v1.Health", Rule.OPEN, "Check Watch List"),
        **_methods("grpc.reflection.v1.ServerReflection", ApiRole.READ, "ServerReflectionInfo"),
        **_methods(
            "grpc.reflection.v1alpha.ServerReflection", ApiRole.READ, "ServerReflectionInfo"
        ),
    }
)
"""What each method needs, by its full name, such as `/fedcoin.v1.NodeService/GetStatus`. The roles
hold at a node's API when it has tokens; ArtifactService needs a session between peers, and a
coordinator serves it to anybody who reaches it."""
