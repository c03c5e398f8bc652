"""What is answered: views, their runner, rebuild, audit, backtest."""
