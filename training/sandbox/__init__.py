"""An Azure-shaped place on loopback, for ``errata demo --backend foundry`` and for tests.

Real SDKs, unchanged, reach it by their environment alone (``AzureSandbox.environ``); nothing leaves the machine. It
keeps state as Azure Resource Manager does and says no where Azure says no.

It refuses to be Azure: nothing is billed, nothing is guarded, and what Errata does not ask for is unknown to it. It
imports neither azure nor openai nor torch.
"""
