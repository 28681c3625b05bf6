"""From a platform document to its Azure: every identity, client and rule in one place.

One `Connections` serves a whole process: all runs share its connections and its tokens, so that a run costs neither a TLS handshake
nor a token of its own. What differs between runs is what ends their waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self

from runner.azure.arm import Arm
from runner.azure.authority import TenantIds
from runner.azure.credentials import Credential, Secret, credential
from runner.azure.deployments import AzureDeployments
from runner.azure.entra import Entra, HomeTenant
from runner.azure.functions import AzureFunctions
from runner.azure.graph import Graph
from runner.azure.http import Client, Patience
from runner.azure.rights import AzureRights
from runner.azure.subscriptions import AzureSubscriptions
from runner.domain.document import ServicePrincipal
from runner.domain.platform import AzurePlatform, Cloud
from runner.network.way_out import Network
from runner.ports import Azure, Invitations

Identity = tuple[ServicePrincipal, str, Cloud]


class Connections:
    """The way to Azure for any number of platforms and threads; a context manager that gives up connections and tokens."""

    def __init__(
        self,
        *,
        network: Network,
        secret: Secret,
        invitations: Invitations,
        allowed_function_hosts: Collection[str] = (),
    ) -> None:
        self._network = network
        self._secret = secret
        self._invitations = invitations
        self._allowed_hosts = frozenset(host.lower() for host in allowed_function_hosts)
        self._tls = network.tls()
        self._opened = ExitStack()
        self._http = self._opened.enter_context(network.client(self._tls))
        self._credentials: dict[Identity, Credential] = {}
        self._tenant_ids = TenantIds()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give up all connections; what `connect` returned is of no use any more."""
        self._opened.close()

    def connect(
        self,
        platform: AzurePlatform,
        *,
        stop: threading.Event,
        sleep: Callable[[float], object] | None = None,
        hurried: bool = False,
    ) -> Azure:
        """The platform's Azure. Asks nobody anything yet.

        `stop` ends the waiting in any call with Canceled; `sleep` stands in for the waiting itself; `hurried` waits little, for
        somebody who looks on.
        """
        spec, cloud = platform.spec, platform.spec.endpoints
        patience = _hurried(stop) if hurried else Patience(stop=stop, sleep=sleep)
        own = self._signed_in(spec.service_principal, spec.entra_tenant, cloud)

        def service(base: str, scope: str, identity: Credential) -> Client:
            return Client(self._http, base=base, scope=scope, credential=identity, patience=patience)

        def graph(identity: Credential) -> Graph:
            return Graph(service(cloud.graph, cloud.graph_scope, identity))

        homes = [
            HomeTenant(
                name=home.entra_tenant,
                graph=graph(self._signed_in(home.service_principal, home.entra_tenant, cloud)),
                is_workload=home.entra_tenant == spec.entra_tenant,
            )
            for home in spec.home_tenants
        ]
        agreement = spec.provisioning.customer_agreement if spec.provisioning else None
        ordering = (
            self._signed_in(agreement.source_service_principal, agreement.source_entra_tenant, cloud)
            if agreement is not None
            else own
        )
        arm = service(cloud.resource_manager, cloud.arm_scope, own)
        workload = HomeTenant(name=spec.entra_tenant, graph=graph(own), is_workload=True)
        authority = Client(self._http, base=cloud.authority, scope="", credential=None, patience=patience)
        return Azure(
            directory=Entra(
                workload,
                homes=homes or [workload],
                look_up_by=spec.look_up_by,
                invitation=spec.b2b_user_invitation,
                invitations=self._invitations,
                tenant_id=lambda: self._tenant_ids.id_of(spec.entra_tenant, authority),
                patience=patience,
            ),
            resources=Arm(arm),
            functions=AzureFunctions(
                credential=own,
                network=self._network,
                tls=self._tls,
                patience=patience,
                allowed_hosts=self._allowed_hosts,
            ),
            subscriptions=AzureSubscriptions(arm, service(cloud.resource_manager, cloud.arm_scope, ordering)),
            deployments=AzureDeployments(arm),
        )

    def rights(
        self, platform: AzurePlatform, principal: ServicePrincipal, entra_tenant: str, *, stop: threading.Event
    ) -> AzureRights:
        """What one of the platform's identities may do in an Entra tenant. Asks nobody anything yet; waits little."""
        cloud = platform.spec.endpoints
        patience = _hurried(stop)
        identity = self._signed_in(principal, entra_tenant, cloud)
        arm = Client(
            self._http, base=cloud.resource_manager, scope=cloud.arm_scope, credential=identity, patience=patience
        )
        graph = Client(self._http, base=cloud.graph, scope=cloud.graph_scope, credential=identity, patience=patience)
        return AzureRights(
            principal_document=principal,
            credential=identity,
            arm=arm,
            graph=graph,
            http=self._http,
            secret=self._secret,
            now=patience.now,
        )

    def _signed_in(self, principal: ServicePrincipal, tenant: str, cloud: Cloud) -> Credential:
        identity = (principal, tenant, cloud)
        with self._lock:
            if identity not in self._credentials:
                made = credential(
                    principal, entra_tenant=tenant, cloud=cloud, network=self._network, secret=self._secret
                )
                self._credentials[identity] = self._opened.enter_context(closing(made))
            return self._credentials[identity]


def _hurried(stop: threading.Event) -> Patience:
    return Patience(stop=stop, limit=timedelta(seconds=30), attempts=3)


@contextmanager
def connect(
    platform: AzurePlatform,
    *,
    network: Network,
    secret: Secret,
    invitations: Invitations,
    stop: threading.Event,
    allowed_function_hosts: Collection[str] = (),
) -> Iterator[Azure]:
    """One platform's Azure with connections of its own, until the block is left."""
    with Connections(
        network=network, secret=secret, invitations=invitations, allowed_function_hosts=allowed_function_hosts
    ) as connections:
        yield connections.connect(platform, stop=stop)
