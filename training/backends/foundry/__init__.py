"""Azure AI Foundry: fine-tuning as a service, by two SDKs, and our own trainer on Azure's machines.

The only place that imports azure and openai, and only once something there is asked for.
"""
