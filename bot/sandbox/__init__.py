"""A local workspace with the shape of Slack, for ``errata demo`` and for scenario tests.

It keeps people, channels, messages, modals and files in memory and serves them on loopback to the
real ``slack_sdk`` client and the real Bolt app, over signed HTTP requests or Socket Mode, and as a
page to whoever wants to try it in a browser. It says no where Slack says no: limits, scopes, membership,
trigger ids that ran out, views that moved on.

It refuses to be Slack: nothing is stored, nothing leaves the machine, and a method or block that
Errata does not use is unknown to it. It never imports the bot it talks to.
"""
