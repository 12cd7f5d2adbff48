"""The registry in DynamoDB."""
