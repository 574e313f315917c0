"""Fine-tuning through the openai library: jobs, files and deployments of an Azure account."""
