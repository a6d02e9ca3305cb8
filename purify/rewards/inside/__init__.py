"""Programs that run in processes of their own. They import nothing of ours."""
