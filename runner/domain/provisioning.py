"""Where a platform's new subscriptions come from. Field names and meanings follow meshStack's `replication.provisioning`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from runner.domain.document import EntraTenantId, ServicePrincipal, Uuid, Value, wrong

_PART = r"[^/?#%\s]+"
# Both as Microsoft.Subscription/aliases 2021-10-01 takes them for billingScope.
ENROLLMENT_ACCOUNT = rf"^/providers/Microsoft\.Billing/billingAccounts/{_PART}/enrollmentAccounts/{_PART}$"
INVOICE_SECTION = (
    rf"^/providers/Microsoft\.Billing/billingAccounts/{_PART}/"
    rf"(billingProfiles/{_PART}/invoiceSections/{_PART}|customers/{_PART})$"
)

EnrollmentAccountId = Annotated[str, StringConstraints(max_length=1000, pattern=ENROLLMENT_ACCOUNT)]
InvoiceSectionId = Annotated[str, StringConstraints(max_length=1000, pattern=INVOICE_SECTION)]
CooldownSeconds = Annotated[int, Field(ge=0, le=86_400)]


class EnterpriseEnrollment(Value):
    """Subscriptions are ordered under an Enterprise Agreement."""

    enrollment_account_id: EnrollmentAccountId
    """The enrollment account, as /providers/Microsoft.Billing/billingAccounts/1234567/enrollmentAccounts/654321; the platform's service
    principal needs the billing role Subscription Creator on it."""
    subscription_offer_type: Literal["Production", "DevTest"] = "Production"
    """The offer."""
    subscription_creation_error_cooldown_sec: CooldownSeconds = 900
    """After an error of the creation no subscription is ordered for the tenant for so many seconds: it may be there late."""


class CustomerAgreement(Value):
    """Subscriptions are ordered under a Microsoft Customer Agreement (or Partner Agreement) by the principal that may do so there."""

    billing_scope: InvoiceSectionId
    """The invoice section, as /providers/Microsoft.Billing/billingAccounts/…/billingProfiles/…/invoiceSections/…; with a Partner
    Agreement the customer, as /providers/Microsoft.Billing/billingAccounts/…/customers/…."""
    source_service_principal: ServicePrincipal
    """The identity that orders the subscriptions; it needs the role Azure subscription creator on the invoice section."""
    source_entra_tenant: EntraTenantId
    """The Entra tenant of the billing account and of that identity."""
    destination_entra_id: Uuid
    """Id of the Entra tenant that the subscriptions belong to: the platform's. Where sourceEntraTenant is the same id, no ownership has
    to be accepted."""
    subscription_creation_error_cooldown_sec: CooldownSeconds = 900
    """After an error of the creation no subscription is ordered for the tenant for so many seconds: it may be there late."""

    @property
    def crosses_tenants(self) -> bool:
        """Whether ownership moves from one Entra tenant to another, and has to be accepted there."""
        return self.source_entra_tenant != self.destination_entra_id


class PreProvisioned(Value):
    """Free subscriptions that somebody made before are taken, one for each tenant, and renamed."""

    unused_subscription_name_prefix: str = Field(min_length=1, max_length=60)
    """How the names of free subscriptions begin; capitals count. No other subscription's name may begin so."""


class Provisioning(Value):
    """Where subscriptions of tenants without platformTenantId come from: exactly one of enterpriseEnrollment, customerAgreement and
    preProvisioned."""

    subscription_owner_object_ids: tuple[Uuid, ...] = ()
    """Object ids of principals that are always Owner of each subscription directly, whatever becomes of groups. Azure wants one at
    least; not the runner's own, for it gives up its own Owner on a new subscription."""
    enterprise_enrollment: EnterpriseEnrollment | None = None
    """They are ordered under an Enterprise Agreement."""
    customer_agreement: CustomerAgreement | None = None
    """They are ordered under a Microsoft Customer Agreement."""
    pre_provisioned: PreProvisioned | None = None
    """They are taken from a pool."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [one for one in (self.enterprise_enrollment, self.customer_agreement, self.pre_provisioned) if one]
        if len(given) != 1:
            raise wrong(
                "Subscriptions come from exactly one of enterpriseEnrollment, customerAgreement and preProvisioned.",
                hint="preProvisioned: {unusedSubscriptionNamePrefix: unused-}",
            )
        return self

    @property
    def orders(self) -> EnterpriseEnrollment | CustomerAgreement | None:
        """How subscriptions are ordered; None where they are taken from a pool."""
        return self.enterprise_enrollment or self.customer_agreement

    @property
    def cooldown(self) -> timedelta:
        """How long nothing is ordered for a tenant after an error of the creation."""
        return timedelta(seconds=self.orders.subscription_creation_error_cooldown_sec if self.orders else 0)
