"""AWS Bedrock's Converse protocol."""
