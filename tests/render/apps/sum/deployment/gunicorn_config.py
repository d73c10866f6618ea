import os

bind = "127.0.0.1:5001"
workers = int(os.environ["WORKERS"])
