# The registry's tables and policies for Terraform; `serinus registry dynamodb create-tables` creates the same tables.

variable "table_prefix" {
  description = "The tables are <prefix>-registry and <prefix>-audit: registry.dynamodb.tablePrefix of the operator."
  type        = string
  default     = "serinus"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

resource "aws_dynamodb_table" "registry" {
  name                        = "${var.table_prefix}-registry"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = true

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }
  attribute {
    name = "fleet"
    type = "S"
  }
  attribute {
    name = "fleetModel"
    type = "S"
  }
  attribute {
    name = "artifact"
    type = "S"
  }
  attribute {
    name = "dataHash"
    type = "S"
  }

  global_secondary_index {
    name            = "fleet"
    hash_key        = "fleet"
    range_key       = "fleetModel"
    projection_type = "KEYS_ONLY"
  }
  global_secondary_index {
    name            = "artifact"
    hash_key        = "artifact"
    range_key       = "pk"
    projection_type = "KEYS_ONLY"
  }
  global_secondary_index {
    name            = "data"
    hash_key        = "dataHash"
    range_key       = "pk"
    projection_type = "KEYS_ONLY"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }
  point_in_time_recovery {
    enabled = true
  }
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_dynamodb_table" "audit" {
  name                        = "${var.table_prefix}-audit"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = true

  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
  lifecycle {
    prevent_destroy = true
  }
}

locals {
  place = {
    partition = data.aws_partition.current.partition
    region    = data.aws_region.current.name
    account   = data.aws_caller_identity.current.account_id
    prefix    = var.table_prefix
  }
}

resource "aws_iam_policy" "operator" {
  name   = "${var.table_prefix}-operator"
  policy = templatefile("${path.module}/operator-policy.json", local.place)
}

resource "aws_iam_policy" "reader" {
  name   = "${var.table_prefix}-reader"
  policy = templatefile("${path.module}/reader-policy.json", local.place)
}

resource "aws_iam_policy" "retention" {
  name   = "${var.table_prefix}-retention"
  policy = templatefile("${path.module}/retention-policy.json", local.place)
}

output "policies" {
  description = "ARNs of the policies for the operator's role, for roles of serving code, and for the role that prunes records."
  value = {
    operator  = aws_iam_policy.operator.arn
    reader    = aws_iam_policy.reader.arn
    retention = aws_iam_policy.retention.arn
  }
}
