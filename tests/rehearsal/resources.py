"""The resource types of our templates that moto's CloudFormation lacks or does not do well enough.

Most are created through the stand-in's own API, which refuses unknown properties. Resources that
the rehearsal does not rely on are only stored, with the types and attributes listed here.
"""

import json
import secrets
import string
from collections.abc import Mapping
from typing import Any, ClassVar

from moto.awslambda.models import lambda_backends
from moto.cloudformation.exceptions import ValidationError

from tests.rehearsal.configuration import Configuration, client

# The attributes that the templates may use. Their values are mere names.
ONLY_KEPT: dict[str, tuple[str, ...]] = {
    "AWS::Budgets::Budget": (),
    "AWS::CertificateManager::Certificate": (),
    "AWS::ApiGatewayV2::ApiMapping": (),
    "AWS::ApiGatewayV2::DomainName": ("RegionalDomainName", "RegionalHostedZoneId"),
    "AWS::CloudWatch::Alarm": ("Arn",),
    "AWS::CloudWatch::Dashboard": (),
    "AWS::EC2::SecurityGroup": ("GroupId",),
    "AWS::EC2::SecurityGroupEgress": (),
    "AWS::EC2::SecurityGroupIngress": (),
    "AWS::EC2::Subnet": (),
    "AWS::EC2::VPC": ("CidrBlock", "DefaultSecurityGroup"),
    "AWS::EC2::VPCEndpoint": (),
    "AWS::Logs::MetricFilter": (),
    "AWS::RDS::DBClusterParameterGroup": (),
    "AWS::RDS::DBParameterGroup": (),
    "AWS::RDS::DBProxyTargetGroup": (),
    "AWS::RDS::DBSubnetGroup": (),
    "AWS::Route53::RecordSet": (),
    "AWS::S3::BucketPolicy": (),
    "AWS::SecretsManager::ResourcePolicy": (),
    "AWS::SecretsManager::RotationSchedule": (),
    "AWS::SNS::TopicPolicy": (),
}
LETTERS = string.ascii_letters + string.digits

LIVING: list["Resource"] = []  # all that were created and not removed
_configuration: list[Configuration] = []


def configure(given: Configuration) -> None:
    """Set the stand-in's configuration, before any resource is created."""
    _configuration[:] = [given]


def configuration() -> Configuration:
    """Return the stand-in's configuration."""
    return _configuration[0]


class Resource:
    """One resource, with the interface that moto's CloudFormation expects."""

    attributes: Mapping[str, str]

    def __init__(self, logical_id: str, type_: str, properties: Mapping[str, Any]) -> None:
        self.logical_id = logical_id
        self.type = type_
        self.properties = properties
        self.physical_resource_id = f"{logical_id.lower()}-{secrets.token_hex(4)}"
        self.attributes = {}

    def make(self) -> None:
        """Create the resource."""

    def change(self, properties: Mapping[str, Any]) -> None:
        """Change the resource to new properties."""
        raise ValidationError(
            message=f"the stand-in cannot change {self.logical_id}, an {self.type}, to {properties}"
        )

    def remove(self) -> None:
        """Remove the resource."""

    def is_there(self) -> bool:
        """Tell whether the resource still exists, even without its stack."""
        return True

    def get_cfn_attribute(self, name: str) -> str:
        """Return an attribute."""
        if name not in self.attributes:
            raise ValidationError(message=f"{self.logical_id}, an {self.type}, has no {name} here")
        return self.attributes[name]

    @classmethod
    def has_cfn_attr(cls, _: str) -> bool:
        """Let a template name any attribute: `get_cfn_attribute` refuses missing ones."""
        return True

    def is_created(self) -> bool:
        """Report that creation is immediate."""
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, _name: str, body: Mapping[str, Any], _account: str, _region: str, **named: Any
    ) -> "Resource":
        """Create a resource."""
        resource = cls(named["LogicalId"], body["Type"], body["Properties"])
        resource.make()
        LIVING.append(resource)
        return resource

    @classmethod
    def update_from_cloudformation_json(cls, **named: Any) -> "Resource":
        """Change a resource."""
        resource: Resource = named["original_resource"]
        properties = named["cloudformation_json"]["Properties"]
        resource.change(properties)
        resource.properties = properties
        return resource


class Kept(Resource):
    """A resource that the rehearsal stores but does not rely on."""

    def make(self) -> None:
        self.attributes = {
            name: f"{self.physical_resource_id}.{name.lower()}" for name in ONLY_KEPT[self.type]
        }

    def change(self, properties: Mapping[str, Any]) -> None:
        """Accept any properties."""


class ByApi(Resource):
    """A resource that the stand-in's own API creates, changes and removes."""

    service: ClassVar[str]
    thing: ClassVar[str]
    identifier: ClassVar[str]  # the API's name for the identifier
    belongs: ClassVar[tuple[str, ...]] = ()  # further identifiers
    fixed: ClassVar[tuple[str, ...]] = ()  # properties that cannot be updated

    def make(self) -> None:
        answer = self._call("create", self.properties)
        self.physical_resource_id = answer[self.identifier]
        self.attributes = {name: text for name, text in answer.items() if isinstance(text, str)}

    def change(self, properties: Mapping[str, Any]) -> None:
        given = {name: value for name, value in properties.items() if name not in self.fixed}
        self._call("update", {**given, **self._named()})

    def remove(self) -> None:
        self._call("delete", self._named())

    def _named(self) -> dict[str, Any]:
        return {
            self.identifier: self.physical_resource_id,
            **{name: self.properties[name] for name in self.belongs},
        }

    def _call(self, verb: str, given: Mapping[str, Any]) -> Any:
        return getattr(aws(self.service), f"{verb}_{self.thing}")(**given)


class GatewayApi(ByApi):
    """An HTTP API."""

    service, thing, identifier = "apigatewayv2", "api", "ApiId"
    fixed = ("ProtocolType",)


class GatewayIntegration(ByApi):
    """The function that an HTTP API calls."""

    service, thing, identifier = "apigatewayv2", "integration", "IntegrationId"
    belongs = ("ApiId",)


class GatewayRoute(ByApi):
    """A route of an HTTP API to its integration."""

    service, thing, identifier = "apigatewayv2", "route", "RouteId"
    belongs = ("ApiId",)


class GatewayStage(ByApi):
    """A stage of an HTTP API, with its throttling and its log."""

    service, thing, identifier = "apigatewayv2", "stage", "StageName"
    belongs = ("ApiId",)


class LogGroup(Resource):
    """A log with its retention."""

    def make(self) -> None:
        self.physical_resource_id = self.properties["LogGroupName"]
        aws("logs").create_log_group(logGroupName=self.physical_resource_id)
        arn = aws("logs").describe_log_groups(logGroupNamePrefix=self.physical_resource_id)
        self.attributes = {"Arn": arn["logGroups"][0]["arn"]}
        self.change(self.properties)

    def change(self, properties: Mapping[str, Any]) -> None:
        aws("logs").put_retention_policy(
            logGroupName=self.physical_resource_id, retentionInDays=properties["RetentionInDays"]
        )

    def remove(self) -> None:
        aws("logs").delete_log_group(logGroupName=self.physical_resource_id)


class ManagedPolicy(Resource):
    """A policy shared by roles."""

    def make(self) -> None:
        made = aws("iam").create_policy(
            PolicyName=self.physical_resource_id,
            PolicyDocument=json.dumps(self.properties["PolicyDocument"]),
        )
        self.physical_resource_id = made["Policy"]["Arn"]

    def change(self, properties: Mapping[str, Any]) -> None:
        aws("iam").create_policy_version(
            PolicyArn=self.physical_resource_id,
            PolicyDocument=json.dumps(properties["PolicyDocument"]),
            SetAsDefault=True,
        )

    def remove(self) -> None:
        aws("iam").delete_policy(PolicyArn=self.physical_resource_id)


class Version(Resource):
    """A published version of a function: an immutable copy of its code and configuration."""

    def make(self) -> None:
        backend = _functions()
        latest = backend.get_function(self.properties["FunctionName"])
        published = backend.list_versions_by_function(latest.function_name)[1:]
        if latest.code_sha_256 != self.properties["CodeSha256"]:
            raise ValidationError(message=f"CodeSHA256 ({latest.code_sha_256}) is different")
        if published and _contents(published[-1]) == _contents(latest):
            raise ValidationError(
                message="A version for this Lambda function exists"
                f" ( {published[-1].version} ). Modify the function to create a new version."
            )
        latest.code_or_config_updated = True  # checked above
        version = backend.publish_version(latest.function_name)
        self.physical_resource_id = version.function_arn
        self.attributes = {"Version": str(version.version)}

    def is_there(self) -> bool:
        """Tell whether its function still exists: a version is deleted with it."""
        names = {function.function_name for function in _functions().list_functions()}
        return self.physical_resource_id.split(":")[6] in names

    def remove(self) -> None:
        _functions().delete_function(self.physical_resource_id)


class Alias(Resource):
    """A name for a version that can be moved to another."""

    def make(self) -> None:
        self.physical_resource_id = aws("lambda").create_alias(**self.properties)["AliasArn"]

    def change(self, properties: Mapping[str, Any]) -> None:
        aws("lambda").update_alias(**properties)

    def remove(self) -> None:
        names = ("FunctionName", "Name")
        aws("lambda").delete_alias(**{name: self.properties[name] for name in names})


class Permission(Resource):
    """A right to call a function or its alias; `gateway` checks it."""


class StackSecret(Resource):
    """A secret, with a generated value or none."""

    def make(self) -> None:
        value = self._value(self.properties)
        made = aws("secretsmanager").create_secret(
            Name=self.properties["Name"],
            Description=self.properties.get("Description", ""),
            **({} if value is None else {"SecretString": value}),
        )
        self.physical_resource_id = made["ARN"]
        self.attributes = {"Id": made["ARN"]}

    def change(self, properties: Mapping[str, Any]) -> None:
        made_of = ("GenerateSecretString", "SecretString")
        if any(self.properties.get(name) != properties.get(name) for name in made_of):
            aws("secretsmanager").put_secret_value(
                SecretId=self.physical_resource_id, SecretString=self._value(properties)
            )

    def remove(self) -> None:
        aws("secretsmanager").delete_secret(
            SecretId=self.physical_resource_id, ForceDeleteWithoutRecovery=True
        )

    def _value(self, properties: Mapping[str, Any]) -> str | None:
        generate = properties.get("GenerateSecretString")
        if generate is None:
            return properties.get("SecretString")
        if not generate.get("ExcludePunctuation"):
            raise ValidationError(message=f"{self.logical_id}: only letters and digits are made")
        length = int(generate.get("PasswordLength", 32))
        password = "".join(secrets.choice(LETTERS) for _ in range(length))
        if "SecretStringTemplate" not in generate:
            return password
        template = json.loads(generate["SecretStringTemplate"])
        return json.dumps({**template, generate["GenerateStringKey"]: password})


class SecretTargetAttachment(Resource):
    """Writes the database's address into a secret."""

    def make(self) -> None:
        self.physical_resource_id = self.properties["SecretId"]
        service = aws("secretsmanager")
        kept = service.get_secret_value(
            SecretId=self.physical_resource_id, VersionStage="AWSCURRENT"
        )
        (database,) = (
            one for one in LIVING if one.physical_resource_id == self.properties["TargetId"]
        )
        # As AWS does; for a cluster, the last key is dbClusterIdentifier.
        said = {
            "engine": database.properties["Engine"],
            "host": configuration().database_host,
            "port": configuration().database_port,
            "dbname": database.properties["DBName"],
            "dbInstanceIdentifier": database.physical_resource_id,
        }
        service.put_secret_value(
            SecretId=self.physical_resource_id,
            SecretString=json.dumps({**json.loads(kept["SecretString"]), **said}),
        )

    def change(self, properties: Mapping[str, Any]) -> None:
        """Change nothing: there is one database here."""


class StackDatabase(Resource):
    """The database, a cluster or a proxy: each is the MariaDB on this machine."""

    def make(self) -> None:
        at = configuration()
        self.attributes: dict[str, str] = {
            "Endpoint.Address": at.database_host,
            "Endpoint.Port": str(at.database_port),
            "ReadEndpoint.Address": at.database_host,
            "Endpoint": at.database_host,
        }
        if self.properties.get("ManageMasterUserPassword") is True:
            user = {
                "username": self.properties["MasterUsername"],
                "password": at.admin_password,
            }
            made = aws("secretsmanager").create_secret(
                Name=f"rds!{self.physical_resource_id}", SecretString=json.dumps(user)
            )
            self.attributes["MasterUserSecret.SecretArn"] = made["ARN"]

    def change(self, properties: Mapping[str, Any]) -> None:
        """Change nothing: it is always the MariaDB on this machine."""

    def remove(self) -> None:
        if self.properties.get("DeletionProtection") is True:
            raise ValidationError(message=f"{self.logical_id} is protected against deletion")
        if "MasterUserSecret.SecretArn" in self.attributes:
            aws("secretsmanager").delete_secret(
                SecretId=self.attributes["MasterUserSecret.SecretArn"],
                ForceDeleteWithoutRecovery=True,
            )


def resource_types() -> dict[str, type[Resource]]:
    """Return the classes here by their CloudFormation types."""
    return {
        **dict.fromkeys(ONLY_KEPT, Kept),
        "AWS::ApiGatewayV2::Api": GatewayApi,
        "AWS::ApiGatewayV2::Integration": GatewayIntegration,
        "AWS::ApiGatewayV2::Route": GatewayRoute,
        "AWS::ApiGatewayV2::Stage": GatewayStage,
        "AWS::IAM::ManagedPolicy": ManagedPolicy,
        "AWS::Lambda::Alias": Alias,
        "AWS::Lambda::Permission": Permission,
        "AWS::Lambda::Version": Version,
        "AWS::Logs::LogGroup": LogGroup,
        "AWS::RDS::DBCluster": StackDatabase,
        "AWS::RDS::DBInstance": StackDatabase,
        "AWS::RDS::DBProxy": StackDatabase,
        "AWS::SecretsManager::Secret": StackSecret,
        "AWS::SecretsManager::SecretTargetAttachment": SecretTargetAttachment,
    }


def aws(service: str) -> Any:
    """Return a client of the stand-in itself."""
    return client(service, configuration().endpoint)


def _functions() -> Any:
    from local.secrets_manager import REGION
    from tests.rehearsal.configuration import ACCOUNT

    return lambda_backends[ACCOUNT][REGION]


def _contents(function: Any) -> tuple[str, dict[str, Any]]:
    """Return the code and configuration that distinguish versions."""
    about_function = ("Code", "ReservedConcurrentExecutions", "Tags")
    properties = {
        name: value for name, value in function.properties.items() if name not in about_function
    }
    return function.code_sha_256, properties
