"""Fine-tuning as a service, through azure-ai-ml: jobs, their data and models, and serverless endpoints."""
