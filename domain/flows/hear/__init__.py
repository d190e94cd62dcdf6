"""What the company's systems tell: deliveries, polls, files; kept first, understood later."""
